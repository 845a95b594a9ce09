import numpy as np
import pytest
import torch

from mmaslp.losses import BinaryFocalLoss, SCBCELoss


@pytest.mark.parametrize('gamma', [0.5, 2.0, 3.0])
@pytest.mark.parametrize('channels', [1, 2])
def test_value(batch, both_logits, gamma, channels):
    logits, labels = batch(channels, ignore=True)
    low, high = both_logits(logits)
    prob = 1 / (1 + np.exp(low - high))
    labelled = np.where(labels.numpy() == 1, prob, 1 - prob)[labels.numpy() != 255]
    expected = -((1 - labelled) ** gamma) * np.log(labelled)
    loss = BinaryFocalLoss(gamma=gamma)(logits, labels).item()
    assert loss == pytest.approx(expected.mean(), rel=1e-5)


def test_gamma_0_is_bce(batch):
    logits, labels = batch(ignore=True)
    torch.testing.assert_close(
        BinaryFocalLoss(gamma=0)(logits, labels), SCBCELoss()(logits, labels)
    )


def test_is_the_focal_loss_of_torchvision(batch):
    ops = pytest.importorskip('torchvision.ops')
    logits, labels = batch()
    expected = ops.sigmoid_focal_loss(
        logits[:, 0], labels.float(), alpha=0.25, gamma=2, reduction='mean'
    )
    loss = BinaryFocalLoss(class_weight=[0.75, 0.25])
    torch.testing.assert_close(loss(logits, labels), expected)


def test_small_numbers():
    logits = torch.log(torch.tensor([4.0, 1.0])).view(1, 1, 1, 2)  # p .8 .5
    labels = torch.tensor([[[1, 0]]])
    expected = torch.tensor([[[0.04 * 0.22314355, 0.25 * 0.69314718]]])
    loss = BinaryFocalLoss(reduction='none')
    torch.testing.assert_close(loss(logits, labels), expected)
