import numpy as np
import pytest

from mmaslp.metrics import BinTable
from mmaslp.metrics.errors import binned_metrics
from tests.test_metrics.pixels import filled


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
