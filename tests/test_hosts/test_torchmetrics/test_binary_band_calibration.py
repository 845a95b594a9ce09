import numpy as np
import pytest
import torch

pytest.importorskip('torchmetrics', reason='needs the extra [integrations]')

from mmaslp.hosts.torchmetrics import BinaryBandCalibration
from tests.metric_samples import batches


def test_the_bands_add_up_to_the_whole_in_float64():
    prob, target = map(torch.cat, zip(*batches()))
    metric = BinaryBandCalibration(ignore_index=255).set_dtype(torch.float64)
    metric.update(prob.double(), target)
    valid = (target != 255).numpy().ravel()
    p, y = prob.double().numpy().ravel()[valid], target.numpy().ravel()[valid]
    conf, right = np.maximum(p, 1 - p), (p > 0.5) == (y == 1)
    computed = metric.table.compute()
    assert computed['acc'] == pytest.approx(right.mean(), abs=1e-12)
    assert computed['conf'] == pytest.approx(conf.mean(), abs=3e-8)
    share, gap = np.array(computed['shares']), np.array(computed['gaps'])
    full = share > 0
    assert 1 < full.sum() < len(share)
    assert np.isnan(gap[~full]).all()
    assert share[full] @ gap[full] == pytest.approx((conf - right).mean(), abs=3e-8)
    figures = metric.compute()
    assert figures['ece_band'].item() == pytest.approx(share[full] @ abs(gap[full]))
    assert [figures[f'band{k}_share'].item() for k in range(5)] == list(share)


def test_points_have_no_border():
    with pytest.raises(ValueError, match=r'prob must be \(H, W\)'):
        BinaryBandCalibration().update(torch.rand(4), torch.ones(4))
