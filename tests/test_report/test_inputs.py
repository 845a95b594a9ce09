import numpy as np
import pytest
from PIL import Image

from mmaslp.evaluation.map_folders import evaluate_maps
from mmaslp.files.prob_maps import MapReader
from mmaslp.report.inputs import results_of_maps


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Maps of two models, masks and photographs."""
    root = tmp_path_factory.mktemp('maps') / 'set'
    rng = np.random.default_rng(0)
    for name in ('<A>', 'B', 'masks', 'photos'):
        (root / name).mkdir(parents=True)
        for image in range(4):
            pixels = rng.integers(0, 256, (8, 9)).astype(np.uint8)
            if name == 'masks':
                pixels = (pixels > 127) * np.uint8(255)
            Image.fromarray(pixels).save(root / name / f'{image}.png')
    return root


@pytest.fixture(scope='module')
def results(folder):
    return [
        evaluate_maps(folder / name, folder / 'masks', resamples=5)
        for name in ('<A>', 'B')
    ]


def test_all_maps_show_the_same_images(folder, results):
    found = results_of_maps(results, MapReader(), str(folder / 'photos'))
    names = [[picture['name'] for picture in each.pictures] for each in found]
    assert names[0] == names[1]
    first = found[0].pictures[0]
    assert list(first['panels']) == ['image', 'mask', 'probability', 'error']
    assert 2 <= len(names[0]) <= 4
    with pytest.raises(ValueError, match='there is none of'):
        results_of_maps(results, MapReader(), str(folder))


def test_all_maps_of_a_volume_are_shown_in_one_slice(tmp_path):
    label = np.zeros((5, 8, 9), np.uint8)
    label[1:4, 2:6, 2:6] = 1
    maps = {'masks': label}
    for name, wrong in ('A', 3), ('B', 1):
        maps[name] = np.where(label, 0.9, 0.1)
        maps[name][wrong] = 0.6
    for name, values in maps.items():
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / '0.npy', values)
    results = [
        evaluate_maps(tmp_path / name, tmp_path / 'masks', resamples=5)
        for name in ('A', 'B')
    ]
    for result in results_of_maps(results, MapReader()):
        for kind, panel in result.pictures[0]['panels'].items():
            assert panel['alt'].startswith(f'slice 4 of 5, {kind}: ')


def test_maps_may_not_change(folder, results):
    (folder / 'B' / '0.png').rename(folder / 'B' / 'other.png')
    (folder / 'masks' / '0.png').rename(folder / 'masks' / 'other.png')
    with pytest.raises(ValueError, match=r'0: neither .* may change'):
        results_of_maps(results[1:], MapReader())
