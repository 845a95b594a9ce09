from dataclasses import replace

import numpy as np
import pytest
import torch

from mmaslp.metrics import BandTable, BinTable, ImageTable
from mmaslp.metrics.bootstrap import differences, jackknife, percentiles, resample
from mmaslp.metrics.chance import Units
from mmaslp.metrics.errors import binned_metrics
from mmaslp.metrics.image_metrics import BAND_ERRORS
from tests.test_metrics.pixels import images, table_of
from tests.test_metrics.scenes import scene


def test_intervals_cover_about_as_often_as_they_say():
    # 100 independent sets of 40 images with a known mean accuracy of 0.7.
    rng, covered = np.random.default_rng(0), 0
    for seed in range(100):
        right = rng.binomial(50, rng.beta(7, 3, 40))
        sums = [np.full((40, 1), value) for value in (50, 0, 40.0)]
        sums[1] = right[:, None]
        names = [str(i) for i in range(40)]
        table = ImageTable(names, BinTable(*sums), np.zeros(40), np.zeros(40))
        low, high = resample(table, 200, seed).interval('acc')
        covered += low <= 0.7 <= high
    assert 86 <= covered <= 99


def test_pairs_cancel_what_images_share():
    calm, sharp = images(30)[0], images(30, gain=1.5)[0]
    drawn = replace(resample(calm, 300), influence=jackknife(calm))
    other = replace(resample(sharp, 300), influence=jackknife(sharp))
    found = differences(drawn, other, Units(30, 30))
    assert found['ece'].differs
    assert found['ece'].difference > 0
    assert found['nll'].differs
    assert not found['acc'].differs
    assert found['acc'].difference == 0
    own = drawn.interval('nll')
    paired = found['nll'].high - found['nll'].low
    assert paired < own[1] - own[0]


def banded(number, gain=1.0):
    """A table of images of two sizes, and the bands of each."""
    scenes, tables = [], []
    for i in range(number):
        prob, label = scene(32 + 8 * (i % 2), 40, seed=i)
        prob = torch.sigmoid(gain * torch.logit(prob, 1e-6))
        table = BandTable()
        table.update(prob, label)
        scenes.append((prob, label))
        tables.append(table)
    return table_of(*scenes), tables


def test_intervals_equal_resampling_by_hand():
    table, tables = banded(6)
    drawn = resample(table, 120, seed=5)
    rng, values = np.random.default_rng(5), []
    for rows in (100, 20):  # drawn in chunks of 100
        for row in rng.integers(6, size=(rows, 6)):
            merged = BandTable()
            for i in row:
                merged.merge(tables[i])
            ece = binned_metrics(table.take(row).table.pooled())['ece']
            values.append([ece, *(merged.compute()[key] for key in BAND_ERRORS)])
    expected = np.quantile(values, [0.025, 0.975], axis=0).T
    for key, bounds in zip(('ece', *BAND_ERRORS), expected):
        assert drawn.interval(key) == pytest.approx(bounds)


def test_an_interval_of_rare_images_leaves_out_draws_without_one():
    """Before, one of a thousand draws without such an image took the interval away."""
    rare = np.linspace(0, 1, 1000)
    rare[::100] = np.nan
    low, high = percentiles(rare)
    assert low == pytest.approx(0.025, abs=0.002)
    assert high == pytest.approx(0.975, abs=0.002)

    columns = np.stack([np.linspace(0, 1, 1000), rare, np.full(1000, np.nan)], 1)
    assert np.isnan(percentiles(columns)).any(0).tolist() == [False, False, True]
    assert percentiles(columns)[:, 1].tolist() == [low, high]
    rare[:60] = np.nan
    assert np.isnan(percentiles(rare)).all()
