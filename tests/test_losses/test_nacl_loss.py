import numpy as np
import pytest
import torch

from mmaslp.losses import NACLLoss, SCBCELoss


def foreground_share(labels, size):
    """Share of foreground among the labelled pixels of the window, by loops."""
    share = np.zeros(labels.shape)
    reach = size // 2
    for i, row, column in np.ndindex(labels.shape):
        top, left = max(row - reach, 0), max(column - reach, 0)
        window = labels[i, top : row + reach + 1, left : column + reach + 1]
        window = window[window != 255]
        share[i, row, column] = (window == 1).mean() if window.size else 0
    return share


def pull(classes, share, power):
    low, high = classes
    return (abs(1 - share - low) ** power + abs(share - high) ** power) / 2


@pytest.mark.parametrize('power', [1, 2])
@pytest.mark.parametrize('size', [3, 5])
@pytest.mark.parametrize('channels', [1, 2])
@pytest.mark.parametrize('ignore', [False, True])
def test_value(batch, both_logits, power, size, channels, ignore):
    logits, labels = batch(channels, ignore)
    low, high = both_logits(logits)
    share = foreground_share(labels.numpy(), size)
    if channels == 2:
        penalty = pull((low, high), share, power)
    else:
        # The best constant: where the error of one class is 0 (L1), or their mean (L2).
        first, second = 1 - share - low, share - high
        shifts = [first, second] if power == 1 else [(first + second) / 2]
        penalty = np.min([pull((low + c, high + c), share, power) for c in shifts], 0)
    signed = np.where(labels.numpy() == 1, high - low, low - high)
    loss = np.logaddexp(0, -signed) + 0.3 * penalty
    expected = loss[labels.numpy() != 255].mean()
    actual = NACLLoss(distance=f'l{power}', lam=0.3, kernel_size=size)(logits, labels)
    assert actual.item() == pytest.approx(expected, rel=1e-6)


def test_small_numbers():
    labels = torch.tensor([[[1, 0, 255], [1, 0, 0]]])
    # Windows by column: 2 of 4 pixels, 2 of 5 and 0 of 3 are foreground.
    share = torch.tensor([0.5, 0.4, 0.0]).expand(1, 2, 3)
    valid = labels != 255
    single, double = torch.zeros(1, 1, 2, 3), torch.zeros(1, 2, 2, 3)
    plain = SCBCELoss(reduction='none')
    loss = NACLLoss(reduction='none')
    torch.testing.assert_close(
        loss(single, labels) - plain(single, labels),
        0.1 * (2 * share - 1).abs() / 2 * valid,
    )
    torch.testing.assert_close(
        loss(double, labels) - plain(double, labels),
        torch.full((1, 2, 3), 0.1 / 2) * valid,
    )


@pytest.mark.parametrize('distance', ['l1', 'l2'])
def test_one_channel_has_the_least_of_two_channels(batch, distance):
    logits, labels = batch(2, ignore=True)
    loss = NACLLoss(distance=distance, reduction='none')
    single = loss(logits[:, 1:] - logits[:, :1], labels)
    assert (single <= loss(logits, labels) + 1e-6).all()


@pytest.mark.parametrize('channels', [1, 2])
def test_no_images(channels):
    logits = torch.zeros(0, channels, 6, 9, requires_grad=True)
    loss = NACLLoss()(logits, torch.zeros(0, 6, 9, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0 and logits.grad.shape == logits.shape
