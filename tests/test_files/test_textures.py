import numpy as np
import pytest

from mmaslp.files.textures import TEXTURES, blob, colours, paint, smooth

SIZE = 48


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.mark.parametrize('texture', TEXTURES)
def test_textures_vary_within_their_range(rng, texture):
    field = texture(rng, SIZE)
    assert field.shape == (SIZE, SIZE) and field.dtype == np.float32
    assert field.min() >= 0 and field.max() <= 1 and field.std() > 0.02
    again = texture(np.random.default_rng(3), SIZE)
    np.testing.assert_array_equal(field, again)


def test_smoothing_keeps_the_mean_and_lowers_the_contrast(rng):
    field = rng.random((SIZE, SIZE))
    blurred = smooth(field, 3)
    assert abs(blurred.mean() - field.mean()) < 0.02
    assert blurred.std() < field.std() / 3


def test_a_blob_lies_at_its_centre(rng):
    for _ in range(10):
        shape = blob(rng, SIZE, (30, 18), 8)
        y, x = np.nonzero(shape > 0.5)
        assert abs(x.mean() - 30) < 6 and abs(y.mean() - 18) < 6
        assert shape.min() >= 0 and shape.max() == 1


def test_colours_resemble_others(rng):
    like = np.array([[0.1, 0.1, 0.1], [0.2, 0.2, 0.2]], np.float32)
    ends = colours(rng, like=like, likeness=1.0)
    assert ends.shape == (2, 3)
    assert abs(ends.mean() - 0.15) < 0.1
    field = np.array([[0.0, 0.5, 1.0]], np.float32)
    painted = paint(field, ends)
    np.testing.assert_allclose(painted[0, 0], ends[0])
    np.testing.assert_allclose(painted[0, 1], ends.mean(0), rtol=1e-6)
    np.testing.assert_allclose(painted[0, 2], ends[1], rtol=1e-6)
