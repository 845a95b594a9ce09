import pytest
import torch

pytest.importorskip('torchmetrics', reason='needs the extra [integrations]')

from mmaslp.integrations.torchmetrics import BinaryBandCalibration


def test_points_have_no_border():
    with pytest.raises(ValueError, match=r'must be \(\.\.\., H, W\)'):
        BinaryBandCalibration().update(torch.rand(4), torch.ones(4))
