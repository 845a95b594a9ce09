from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mmaslp.evaluation.map_folders import evaluate_maps
from mmaslp.evaluation.result_files import save_result
from mmaslp.report.comparison import (
    compare_results,
    in_a_sentence,
    other_images,
    sorted_images,
    worse_figures,
)

from . import sections as helper


@pytest.fixture
def files(tmp_path):
    """Results of a calibrated and of an over-confident model on twelve images."""
    rng = np.random.default_rng(1)
    for folder in ('good', 'over', 'masks'):
        (tmp_path / folder).mkdir()
    for i in range(12):
        prob = rng.random((16, 16))
        mask = rng.random((16, 16)) < prob
        Image.fromarray(mask * np.uint8(255)).save(tmp_path / 'masks' / f'{i}.png')
        np.save(tmp_path / 'good' / f'{i}.npy', prob)
        over = prob**3 / (prob**3 + (1 - prob) ** 3)
        np.save(tmp_path / 'over' / f'{i}.npy', over)
    paths = []
    for name in ('good', 'over'):
        result = evaluate_maps(tmp_path / name, tmp_path / 'masks', resamples=0)
        paths.append(str(tmp_path / f'{name}.json'))
        save_result(paths[-1], result)
    return paths


def test_over_confidence_is_told_apart(files):
    [found] = compare_results(files[:1], files[1:], resamples=200)
    row = found.figures['ece']
    assert found.images == (12, 12)
    assert found.paired
    assert found.figures['ece_band'].differs
    assert row.difference == pytest.approx(row.second - row.first)
    assert row.differs
    assert 0 < row.low < row.difference < row.high
    assert 'its ECE by band is' in in_a_sentence(found)
    assert {'ece', 'ece_band', 'nll'} <= found.worse.keys()
    assert not worse_figures(found.figures, ['dice'])
    again, other = (
        compare_results(files[:1], files[1:], resamples=number) for number in (200, 199)
    )
    assert again == [found]
    assert other != [found]


@pytest.mark.parametrize('change', ['rolled', 'resized'])
def test_other_masks_under_the_same_names_are_refused(files, change, tmp_path):
    for path in (tmp_path / 'masks').iterdir():
        mask = np.roll(np.asarray(Image.open(path)), 3, 1)
        Image.fromarray(mask if change == 'rolled' else mask[:8]).save(path)
        if change == 'resized':
            maps = tmp_path / 'over' / f'{path.stem}.npy'
            np.save(maps, np.load(maps)[:8])
    result = evaluate_maps(tmp_path / 'over', tmp_path / 'masks', resamples=0)
    save_result(files[1], result)
    with pytest.raises(
        ValueError, match=r'good\.json and .*over\.json: 12 images have oth'
    ):
        compare_results(files[:1], files[1:])


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda one: one, ''),
        (
            lambda one: replace(one, settings={**one.settings, 'mode': 'positive'}),
            "mode is 'positive' in",
        ),
        (
            lambda one: helper.renamed(one, ['new', *one.images.names[1:]]),
            "2 images are in one of them only, such as ['<0>', 'new']",
        ),
    ],
)
def test_what_cannot_be_compared_is_named(change, words):
    one, other = change(helper.result()), helper.result(gain=0.5)
    found = other_images((one, sorted_images(one)), (other, sorted_images(other)))
    assert found.startswith(words)
    assert bool(found) == bool(words)


def test_images_are_sorted_by_what_tells_them_apart():
    given = helper.result()
    one = helper.renamed(given, ['b/1.png', 'c/2.png', 'a/0.jpg', 'd/3.png'])
    images = sorted_images(one)
    assert images.names == ['0', '1', '2', '3']
    assert images.table.count[0].tolist() == given.images.table.count[2].tolist()
    one = helper.renamed(given, ['b/1.png', 'a/1.png', 'a/0.png', 'b/0.png'])
    assert sorted_images(one).names == ['a/0.png', 'a/1.png', 'b/0.png', 'b/1.png']
    one = helper.renamed(given, ['a', 'a', 'b', 'c'])
    with pytest.raises(ValueError, match=r'x\.json: the same image is in it more'):
        sorted_images(one, 'x.json')
