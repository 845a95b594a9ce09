import numpy as np
import pytest
import torch

from mmaslp.losses import MbLSLoss, SCBCELoss


@pytest.mark.parametrize('margin', [0.0, 2.0, 10.0])
@pytest.mark.parametrize('channels', [1, 2])
def test_value(batch, both_logits, margin, channels):
    logits, labels = batch(channels, ignore=True)
    classes = np.stack(both_logits(4 * logits))
    one_hot = np.stack([labels.numpy() == 0, labels.numpy() == 1])
    entropy = np.logaddexp(*classes) - (classes * one_hot).sum(0)
    gaps = classes.max(0) - classes
    hinge = np.maximum(gaps - margin, 0).mean(0)
    valid = labels.numpy() != 255
    expected = (entropy + 0.3 * hinge)[valid].mean()
    loss = MbLSLoss(margin=margin, lam=0.3)(4 * logits, labels).item()
    assert loss == pytest.approx(expected, rel=1e-6)


def test_small_numbers():
    logits = torch.tensor([12.0, -13.0, 9.0]).view(1, 1, 1, 3)
    labels = torch.tensor([[[1, 1, 0]]])
    penalty = MbLSLoss(reduction='none')(logits, labels) - SCBCELoss(reduction='none')(
        logits, labels
    )
    # 0.1 / 2 times what the gaps 12, 13 and 9 are above 10
    expected = torch.tensor([[[0.1, 0.15, 0.0]]])
    torch.testing.assert_close(penalty, expected, rtol=0, atol=1e-6)


def test_gaps_within_the_margin_leave_cross_entropy(batch):
    logits, labels = batch(2)
    gap = (logits[:, 1] - logits[:, 0]).abs().max().item()
    torch.testing.assert_close(
        MbLSLoss(margin=gap, lam=5)(logits, labels), SCBCELoss()(logits, labels)
    )
