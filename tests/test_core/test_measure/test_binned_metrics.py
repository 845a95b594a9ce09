import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mmaslp.core.measure import (
    BinTable,
    binned_metrics,
    median_gap,
)
from tests.properties import given, settings, st

# Not importable by name under pytest's importlib mode.
pixels = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('pixels.py')))
filled = pixels.filled


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.floats(0, 1), st.floats(0, 1)),
        min_size=1,
        max_size=8,
    ),
    st.floats(-1, 1),
)
def test_no_shift_lowers_the_ece_more_than_that_by_the_median_gap(bins, shift):
    count, accuracy, conf = (np.array(v, float) for v in zip(*bins))
    table = BinTable(count, count * accuracy, count * conf)
    if not count.sum():
        assert np.isnan(median_gap(table))
        return
    gaps = np.repeat(conf - accuracy, count.astype(int))
    found = median_gap(table)
    assert found == pytest.approx(np.median(gaps), abs=1e-12)
    assert np.abs(gaps - found).mean() <= np.abs(gaps - shift).mean() + 1e-12


def test_debiased_takes_sampling_noise_away():
    # A calibrated model: the plain error is the noise of few pixels per bin.
    rng = np.random.default_rng(0)
    prob = np.repeat(np.linspace(0.525, 0.975, 10), 40)
    plain, corrected = [], []
    for _ in range(60):
        found = filled(prob, rng.random(400) < prob).compute(20)
        plain.append(found['brier_reliability'])
        corrected.append(found['ece_debiased'] ** 2)
    assert np.mean(corrected) < 0.6 * np.mean(plain)


def test_metrics_by_hand():
    # Bins of 10, 30 and 60 pixels and an empty one; gaps +0.2, -0.1 and +0.05.
    count = np.array([10, 0, 30, 60])
    accuracy, conf = np.array([0.4, 0, 0.8, 0.9]), np.array([0.6, 0, 0.7, 0.95])
    found = binned_metrics(BinTable(count, count * accuracy, count * conf))
    assert found['ece'] == pytest.approx(0.1 * 0.2 + 0.3 * 0.1 + 0.6 * 0.05)
    assert found['oe'] == pytest.approx(0.1 * 0.6 * 0.2 + 0.6 * 0.95 * 0.05)
    assert found['ue'] == pytest.approx(0.3 * 0.7 * 0.1)
    assert found['mce'] == pytest.approx(0.2)
    # Average calibration error: each filled bin counts the same.
    assert found['ace'] == pytest.approx((0.2 + 0.1 + 0.05) / 3)
    assert found['acc'] == pytest.approx(0.04 + 0.24 + 0.54)
    assert found['conf'] == pytest.approx(0.06 + 0.21 + 0.57)
