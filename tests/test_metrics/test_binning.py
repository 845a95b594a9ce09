import numpy as np
import pytest

from tests.test_metrics import reference
from tests.test_metrics.pixels import filled


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
