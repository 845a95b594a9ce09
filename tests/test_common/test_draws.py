import numpy as np
import pytest

from mmaslp.common.draws import image_keys, image_uniform, iteration_keys


def uniform(ids, seed, iteration):
    return image_uniform(iteration_keys(image_keys(ids), seed, iteration))


def test_a_draw_depends_on_seed_iteration_and_image_alone():
    ids = [f'{i}.png' for i in range(100)]
    whole = uniform(ids, 3, 7)
    order = np.random.default_rng(0).permutation(100)
    shuffled = uniform([ids[i] for i in order], 3, 7)
    assert (shuffled == whole[order]).all()
    assert (uniform(ids[:10], 3, 7) == whole[:10]).all()
    for other in (uniform(ids, 4, 7), uniform(ids, 3, 8)):
        assert (other != whole).all()


@pytest.mark.parametrize('axis', ['image', 'iteration', 'seed'])
def test_draws_are_uniform_along_every_axis(axis):
    stats = pytest.importorskip('scipy.stats')
    n = 20_000
    if axis == 'image':
        values = uniform([str(i) for i in range(n)], 0, 0)
    elif axis == 'iteration':
        keys = image_keys(['a'])
        values = [image_uniform(iteration_keys(keys, 0, i))[0] for i in range(n)]
    else:
        keys = image_keys(['a'])
        values = [image_uniform(iteration_keys(keys, i, 0))[0] for i in range(n)]
    values = np.asarray(values)
    assert values.min() >= 0
    assert values.max() < 1
    assert stats.kstest(values, 'uniform').pvalue > 1e-3
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.03
