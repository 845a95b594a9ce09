"""What the adapters of small toolkits refuse."""

import numpy as np
import pytest
import torch

from mmaslp import SelfCalibratingBCE
from mmaslp.integrations.nnunet.loss import SelfCalibratingLoss, Targets
from mmaslp.integrations.torchmetrics import BinaryCalibration

PROB = np.random.default_rng(0).random((8, 16, 16))
LABEL = (PROB > 0.4).astype(np.uint8)


@pytest.mark.parametrize(
    ('call', 'given'),
    [
        (
            lambda prob: BinaryCalibration().update(prob, LABEL),
            np.where(PROB > 0.9, np.inf, PROB),
        ),
    ],
)
def test_arguments_that_answered_something_else(call, given):
    with pytest.raises(ValueError):
        call(given)


LABELS = (torch.rand(5, 16, 16) > 0.5).long()
SOFTMAX = torch.rand(5, 2, 16, 16).softmax(1)


@pytest.mark.parametrize(
    ('call', 'words'),
    [
        (
            lambda: SelfCalibratingLoss(SelfCalibratingBCE(), Targets(False))(
                SOFTMAX, LABELS[:, None] - 1
            ),
            'label contains -1',
        ),
    ],
)
def test_python_that_is_wrong(call, words):
    with pytest.raises(ValueError, match=words):
        call()
