import json

import numpy as np
import pytest
from PIL import Image

from mmaslp.files.map_folder import evaluate_maps
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
        section = evaluate_maps(tmp_path / name, tmp_path / 'masks', resamples=0)
        paths.append(str(tmp_path / f'{name}.json'))
        save_result(paths[-1], section['result'])
    return paths


def test_over_confidence_is_told_apart(files):
    comparison = compare_results(*files, resamples=200)
    row = comparison.metrics['ece']
    assert comparison.num_images == 12 and comparison.outdated == {}
    assert comparison.metrics['ece_band']['differs']
    assert row['difference'] == pytest.approx(row['second'] - row['first'])
    assert row['differs'] and 0 < row['low'] < row['difference'] < row['high']
    narrow = compare_results(*files, resamples=200, confidence_level=0.5).metrics['ece']
    assert narrow['high'] - narrow['low'] < row['high'] - row['low']
    assert compare_results(*files, resamples=200).metrics == comparison.metrics
    assert compare_results(*files, resamples=200, seed=1).metrics != comparison.metrics


def test_other_settings_are_refused(files):
    with open(files[1]) as file:
        result = json.load(file)
    result['settings']['mode'] = 'positive'
    with open(files[1], 'w') as file:
        json.dump(result, file)
    with pytest.raises(
        ValueError, match=r"mode is 'top_label' in .* but 'positive' in"
    ):
        compare_results(*files)


def rewritten(path, change):
    """Change the result in a file."""
    with open(path) as file:
        result = json.load(file)
    change(result)
    with open(path, 'w') as file:
        json.dump(result, file)


def test_files_without_bands_are_compared_without_them(files):
    rewritten(files[0], lambda result: result['images'].pop('bands'))
    comparison = compare_results(*files, resamples=20)
    assert comparison.outdated == {files[0]: ('ece_band', 'ece_band_true')}
    assert 'ece_band' not in comparison.metrics and 'ks' in comparison.metrics
    rewritten(files[1], lambda result: result['images'].pop('bands'))
    assert compare_results(*files, resamples=20).outdated == {}


def test_bands_of_other_edges_are_refused(files):
    def change(result):
        result['images']['bands']['edges'][0] = 1.5

    rewritten(files[0], change)
    with pytest.raises(ValueError, match=r'bands of .* have the edges \(1\.5, 2\.0,'):
        compare_results(*files)
