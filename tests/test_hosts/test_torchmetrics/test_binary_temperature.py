import pytest
import torch

pytest.importorskip('torchmetrics', reason='needs the extra [integrations]')

from mmaslp.hosts.torchmetrics import BinaryTemperature


def test_temperature_leaves_what_it_cannot_mend():
    generator = torch.Generator().manual_seed(1)
    true = torch.randn(40_000, generator=generator)
    target = (torch.rand(true.shape, generator=generator) < true.sigmoid()).long()
    metric = BinaryTemperature()
    metric.update(3 * true, target)
    figures = metric.compute()
    assert figures['temperature'].item() == pytest.approx(3, abs=0.15)
    assert figures['ece'] > 0.1 > 0.02 > figures['ece_scaled']
    assert figures['nll_scaled'] < figures['nll']


def test_no_optimum_is_nan_and_a_warning():
    metric = BinaryTemperature('temperature')
    metric.update(torch.tensor([1.0, 2.0]), torch.tensor([1, 1]))
    with pytest.warns(UserWarning, match='all 2 pixels are foreground'):
        assert metric.compute().isnan()
