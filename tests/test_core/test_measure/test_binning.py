import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mmaslp.core import CalibrationHistogram
from mmaslp.core.measure import (
    BinTable,
    equal_mass,
    equal_width,
)
from mmaslp.core.measure.binning import equal_mass_rows

# Not importable by name under pytest's importlib mode.
pixels = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('pixels.py')))
reference = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('reference.py')))
filled, scene = pixels.filled, pixels.scene


@pytest.mark.parametrize('n', [1, 2, 37, 300])
@pytest.mark.parametrize('kind', ['ties', 'floats', 'calibrated'])
def test_sweep_is_the_largest_monotone_partition(n, kind):
    rng = np.random.default_rng(n)
    prob = rng.random(n)
    if kind == 'ties':
        prob = np.rint(prob * 20) / 20
    label = (rng.random(n) < (prob if kind == 'calibrated' else 0.5)).astype(int)
    conf, right = reference.scores(prob, label)
    expected, bins = reference.sweep(np.round(conf, 9), right)
    found = filled(prob, label).compute()
    assert found['ece_sweep'] == pytest.approx(expected, abs=1e-5)
    assert found['sweep_bins'] == bins


@pytest.mark.parametrize('bins', [0, -1, 2.5, True, None])
def test_bad_bins(bins):
    with pytest.raises(ValueError, match='bins must be an integer'):
        CalibrationHistogram().compute(bins)


@pytest.mark.parametrize('kind', ['noise', 'flawless', 'gaps'])
def test_rows_are_cut_as_single_scores_are(kind):
    rng = np.random.default_rng(0)
    scores, rows = [], []
    for seed in range(30):
        prob, label = scene(seed, size=rng.integers(1, 400), steps=255)
        if kind == 'flawless':
            label = (prob > 0.5).astype(int)
        if kind == 'gaps':
            prob = np.rint(prob * 6) / 6
        histogram = CalibrationHistogram()
        histogram.update(prob, label)
        scores.append(histogram.score_table())
        rows.append(equal_width(scores[-1], 300))
    table = BinTable(
        *(np.stack([getattr(r, k) for r in rows]) for k in ('count', 'correct', 'conf'))
    )
    many = equal_mass_rows(table, 10)
    for row, expected in enumerate(equal_mass(each, 10) for each in scores):
        filled = many.count[row] > 0
        assert np.array_equal(many.count[row, filled], expected.count)
        assert np.array_equal(many.correct[row, filled], expected.correct)
        assert many.conf[row, filled] == pytest.approx(expected.conf)
