import json

import numpy as np
import pytest
from PIL import Image

from mmaslp.files.map_evaluation import evaluate_maps
from mmaslp.files.results import save_result
from mmaslp.report.comparison import compare_results


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
    metrics, images = compare_results(*files, resamples=200)
    row = metrics['ece']
    assert images == 12 and metrics['ece_band']['differs']
    assert row['difference'] == pytest.approx(row['second'] - row['first'])
    assert row['differs'] and 0 < row['low'] < row['difference'] < row['high']
    narrow = compare_results(*files, resamples=200, confidence_level=0.5)[0]['ece']
    assert narrow['high'] - narrow['low'] < row['high'] - row['low']
    assert compare_results(*files, resamples=200)[0] == metrics
    assert compare_results(*files, resamples=200, seed=1)[0] != metrics


def rewritten(path, change):
    """Change the result in a file."""
    with open(path) as file:
        result = json.load(file)
    change(result)
    with open(path, 'w') as file:
        json.dump(result, file)


def test_other_settings_are_refused(files):
    rewritten(files[1], lambda result: result['settings'].update(mode='positive'))
    with pytest.raises(
        ValueError, match=r"mode is 'top_label' in .* but 'positive' in"
    ):
        compare_results(*files)


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
        compare_results(*files)
