import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmaslp.core import BandTable, CalibrationHistogram
from mmaslp.core.measure import BAND_ERRORS, SORTED, binned_metrics
from mmaslp.core.measure.bootstrap import bootstrap, paired_bootstrap
from mmaslp.core.measure.image_table import ImageTable

# Not importable by name under pytest's importlib mode.
pixels = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('pixels.py')))
reference = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('reference.py')))
images = pixels.images
scene = runpy.run_path(Path(__file__).with_name('scenes.py'))['scene']


def test_intervals_equal_resampling_by_hand():
    table, _ = images(7)
    drawn = bootstrap(table, resamples=150, seed=3, confidence_level=0.9)['intervals']
    rng = np.random.default_rng(3)
    values = []
    for rows in (100, 50):  # drawn in chunks of 100
        for row in rng.integers(7, size=(rows, 7)):
            values.append(float(binned_metrics(table.take(row).table.pooled())['ece']))
    assert drawn['ece'] == pytest.approx(np.quantile(values, [0.05, 0.95]), abs=1e-12)


def test_intervals_cover_about_as_often_as_they_say():
    # 100 independent sets of 40 images with a known mean accuracy of 0.7.
    rng, covered = np.random.default_rng(0), 0
    for seed in range(100):
        right = rng.binomial(50, rng.beta(7, 3, 40))
        rows = [
            {'name': i, 'count': [50], 'right': [r], 'conf': [40], 'nll': 0, 'brier': 0}
            for i, r in enumerate(right)
        ]
        low, high = bootstrap(ImageTable(rows, 1), 200, seed)['intervals']['acc']
        covered += low <= 0.7 <= high
    assert 86 <= covered <= 99


def test_pairs_cancel_what_images_share():
    calm, sharp = images(30)[0], images(30, gain=1.5)[0]
    found = paired_bootstrap(calm, sharp, 300)
    assert found['ece']['differs'] and found['ece']['difference'] > 0
    assert found['nll']['differs']
    assert not found['acc']['differs'] and found['acc']['difference'] == 0
    own = bootstrap(calm, 300)['intervals']['nll']
    paired = found['nll']['high'] - found['nll']['low']
    assert paired < own[1] - own[0]


def test_pairs_need_the_same_images():
    with pytest.raises(ValueError, match='same images'):
        paired_bootstrap(images(3)[0], images(4)[0])


# ---- the metrics that sort all pixels ----


def pixels(number, steps, seed=0, gain=1.5):
    """(prob, label) per image, on a grid of scores of the histogram."""
    rng = np.random.default_rng(seed)
    scenes = []
    for i in range(number):
        logit = rng.normal(rng.normal(0, 1), 2, 150 + 20 * i)
        label = (rng.random(logit.shape) < 1 / (1 + np.exp(-logit))).astype(int)
        scenes.append((np.rint(steps / (1 + np.exp(-gain * logit))) / steps, label))
    return scenes


def table_of(scenes, mode='top_label'):
    """The table of some images, and the metrics of the histogram of all."""
    total, records = CalibrationHistogram(), []
    for i, (prob, label) in enumerate(scenes):
        image = CalibrationHistogram()
        image.update(prob, label)
        total.merge(image)
        records.append(ImageTable.record(f'{i}.png', image, 10, mode))
    return ImageTable(records), total.compute(10, mode)


def by_hand(scenes, mode, resamples, seed):
    """Each metric of each resample from the pixels of the images that it draws."""
    rng = np.random.default_rng(seed)
    values = {key: [] for key in SORTED}
    for rows in rng.integers(len(scenes), size=(resamples, len(scenes))):
        prob, label = (np.concatenate(each) for each in zip(*(scenes[i] for i in rows)))
        metrics = reference.metrics(prob, label, 10, mode)
        for key in SORTED:
            values[key].append(metrics[key])
    return {key: np.array(each) for key, each in values.items()}


@pytest.mark.parametrize('mode', ['top_label', 'positive'])
def test_sorted_metrics_equal_resampling_of_8_bit_pixels_by_hand(mode):
    scenes = pixels(7, 255)
    table, exact = table_of(scenes, mode)
    found = bootstrap(table, 80, seed=3, confidence_level=0.9, overall=exact)[
        'intervals'
    ]
    for key, values in by_hand(scenes, mode, 80, 3).items():
        expected = np.quantile(values, [0.05, 0.95])
        assert found[key] == pytest.approx(expected, abs=1e-8), key


# ---- by band ----


def banded(number, gain=1.0):
    """A table of images of two sizes, and the bands of each."""
    records, tables = [], []
    for i in range(number):
        prob, label = scene(32 + 8 * (i % 2), 40, seed=i)
        prob = torch.sigmoid(gain * torch.logit(prob, 1e-6))
        histogram, table = CalibrationHistogram(), BandTable()
        histogram.update(prob, label)
        table.update(prob, label)
        records.append(ImageTable.record(f'{i}', histogram, bands=table))
        tables.append(table)
    return ImageTable(records), tables


def test_bands_equal_resampling_by_hand():
    table, tables = banded(6)
    drawn = bootstrap(table, 120, seed=5)['intervals']
    rng, values = np.random.default_rng(5), []
    for rows in (100, 20):  # drawn in chunks of 100
        for row in rng.integers(6, size=(rows, 6)):
            merged = BandTable()
            for i in row:
                merged.merge(tables[i])
            values.append([merged.compute()[key] for key in BAND_ERRORS])
    expected = np.quantile(values, [0.025, 0.975], axis=0).T
    assert [list(drawn[key]) for key in BAND_ERRORS] == pytest.approx(expected)
