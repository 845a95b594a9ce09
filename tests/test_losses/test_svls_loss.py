import math

import numpy as np
import pytest
import torch

from mmaslp.losses import SCBCELoss, SVLSLoss


def blurred(labels, sigma):
    """Target by loops, in float64."""
    target = np.zeros(labels.shape)
    last = np.array(labels.shape[1:]) - 1
    steps = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
    gauss = {d: math.exp(-(d[0] ** 2 + d[1] ** 2) / 2 / sigma**2) for d in steps}
    centre = gauss[0, 0] / sum(gauss.values())
    kernel = {d: g / sum(gauss.values()) / (1 - centre) for d, g in gauss.items()}
    kernel[0, 0] = 1.0
    for image, row, column in np.ndindex(labels.shape):
        total = weight = 0.0
        for step, share in kernel.items():
            place = np.clip(np.add((row, column), step), 0, last)
            label = labels[(image, *place)]
            if label != 255:
                total, weight = total + share * label, weight + share
        target[image, row, column] = total / weight if weight else 0
    return target


@pytest.mark.parametrize('sigma', [0.5, 1.0, 3.0])
@pytest.mark.parametrize('channels', [1, 2])
@pytest.mark.parametrize('ignore', [False, True])
def test_value(batch, both_logits, sigma, channels, ignore):
    logits, labels = batch(channels, ignore)
    low, high = both_logits(logits)
    target = blurred(labels.numpy(), sigma)
    loss = np.logaddexp(0, high - low) - target * (high - low)
    expected = loss[labels.numpy() != 255].mean()
    loss = SVLSLoss(sigma=sigma)
    assert loss(logits, labels).item() == pytest.approx(expected, rel=1e-6)
    exact = loss(logits.double(), labels).item()
    assert exact == pytest.approx(expected, rel=1e-13)


def test_small_numbers():
    """At a straight border a side weighs (1 + 2 e^-0.5) / (4 + 4 e^-0.5) of 2."""
    labels = torch.tensor([[0.0, 0, 1, 1]]).expand(1, 5, 4)
    edge, corner = math.exp(-0.5), math.exp(-1)
    side = (edge + 2 * corner) / (4 * edge + 4 * corner) / 2
    target = SVLSLoss().target(labels)
    expected = torch.tensor([0, side, 1 - side, 1]).expand(1, 5, 4)
    torch.testing.assert_close(target, expected)


def test_the_label_stays_where_nothing_differs(batch):
    logits, labels = batch()
    for same in (torch.zeros_like(labels), torch.ones_like(labels)):
        torch.testing.assert_close(SVLSLoss()(logits, same), SCBCELoss()(logits, same))
    alone = torch.full_like(labels, 255)
    alone[:, 3, 4] = 1
    torch.testing.assert_close(SVLSLoss()(logits, alone), SCBCELoss()(logits, alone))
    # A narrow Gaussian does not vanish: the four nearest share the weight.
    assert torch.isfinite(SVLSLoss(sigma=1e-3)(logits, labels))


@pytest.mark.parametrize('channels', [1, 2])
def test_no_images(channels):
    logits = torch.zeros(0, channels, 6, 9, requires_grad=True)
    loss = SVLSLoss()(logits, torch.zeros(0, 6, 9, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0 and logits.grad.shape == logits.shape


def test_points_have_no_neighbours(batch):
    with pytest.raises(ValueError, match='points have no neighbours'):
        SVLSLoss()(*batch(points=True))
