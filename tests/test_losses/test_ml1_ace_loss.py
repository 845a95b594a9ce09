import math

import numpy as np
import pytest
import torch

from mmaslp.losses import ML1ACELoss, SCBCELoss


def class_error(prob, member, num_bins):
    """Mean gap of the bins (lo, hi] that hold pixels, by a loop."""
    if not member.any():
        return 0.0
    edges = np.linspace(0, 1, num_bins + 1)
    gaps = []
    for i in range(num_bins):
        inside = (prob > edges[i]) & (prob <= edges[i + 1])
        if i == 0:
            inside |= prob == 0
        if inside.any():
            gaps.append(abs(prob[inside].mean() - member[inside].mean()))
    return np.mean(gaps)


@pytest.mark.parametrize('num_bins', [1, 5, 20])
@pytest.mark.parametrize('channels', [1, 2])
@pytest.mark.parametrize('ignore', [False, True])
def test_value(batch, both_logits, num_bins, channels, ignore):
    logits, labels = batch(channels, ignore)
    labels[1] = torch.where(labels[1] == 1, 0, labels[1])  # shows no foreground
    labels[2] = torch.where(labels[2] == 0, 1, labels[2])  # and no background
    low, high = both_logits(logits)
    total = 0
    for z, y in zip(high - low, labels.numpy()):
        z, y = z[y != 255], y[y != 255]
        prob = 1 / (1 + np.exp(-z))
        error = class_error(prob, y == 1, num_bins)
        error += class_error(1 - prob, y == 0, num_bins)
        entropy = np.logaddexp(0, np.where(y == 1, -z, z))
        total += (0.4 * entropy + 0.7 * error / 2).sum()
    loss = ML1ACELoss(num_bins=num_bins, ce_weight=0.4, ace_weight=0.7)
    expected = total / (labels != 255).sum().item()
    assert loss(logits, labels).item() == pytest.approx(expected, rel=1e-5)


def test_small_numbers():
    prob = torch.tensor([0.9, 0.95, 0.3, 0.1])
    logits = torch.logit(prob).view(1, 1, 2, 2)
    labels = torch.tensor([[[1, 0], [0, 0]]])
    # Two bins: (0.3 + 0.1) / 2 - 0 and (0.9 + 0.95) / 2 - 1/2, in both classes.
    expected = torch.full((1, 2, 2), (0.2 + 0.425) / 2)
    loss = ML1ACELoss(num_bins=2, ce_weight=0, ace_weight=1, reduction='none')
    torch.testing.assert_close(loss(logits, labels), expected)


def test_mean_over_images_of_the_same_size(batch):
    logits, labels = batch()
    loss = ML1ACELoss(ce_weight=0, ace_weight=1)
    single = [loss(logits[i : i + 1], labels[i : i + 1]) for i in range(4)]
    torch.testing.assert_close(loss(logits, labels), torch.stack(single).mean())


def test_large_images_lose_no_pixel():
    """A bin of float32 counts no further than 2**24, and rounds long before."""
    labels = torch.zeros(1, 4200, 4200, dtype=torch.uint8)
    labels[:, ::10, ::10] = 1
    logits = torch.full((1, 1, 4200, 4200), -4.0)
    prob, share = 1 / (1 + math.exp(4)), 1 / 100
    loss = ML1ACELoss(ce_weight=0, ace_weight=1)
    assert loss(logits, labels).item() == pytest.approx(abs(prob - share), rel=1e-4)


def test_without_the_error_it_is_cross_entropy(batch):
    logits, labels = batch(ignore=True)
    torch.testing.assert_close(
        ML1ACELoss(ce_weight=1, ace_weight=0)(logits, labels),
        SCBCELoss()(logits, labels),
    )


def test_calibrated_maps_have_no_error():
    # A quarter of the pixels of probability 1/4 is foreground.
    logits = torch.full((1, 1, 4, 4), 1 / 3).log()
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    labels[0, 0] = 1
    loss = ML1ACELoss(ce_weight=0, ace_weight=1)(logits, labels)
    torch.testing.assert_close(loss, torch.tensor(0.0), rtol=0, atol=1e-6)
