import numpy as np
import pytest
import torch

from mmaslp.losses import CRaCLoss, SCBCELoss

LAM = [[0.2, 0.3], [0.4, 0.5]]
RHO = [[0.6, 0.7], [0.8, 0.9]]


def constraints(classes, labels, margin):
    """h of each class and whether a pixel is border, by loops; nan where ignored."""
    gaps, border = np.full((2, *labels.shape), np.nan), np.zeros(labels.shape, bool)
    for i, row, column in np.ndindex(labels.shape):
        if labels[i, row, column] == 255:
            continue
        top, left = max(row - 1, 0), max(column - 1, 0)
        window = labels[i, top : row + 2, left : column + 2]
        shares = [(window[window != 255] == k).mean() for k in (0, 1)]
        border[i, row, column] = 0 < shares[0] < 1
        factor = 1 if border[i, row, column] else margin
        for k in (0, 1):
            gaps[k, i, row, column] = abs(
                factor * shares[k] - classes[k][i, row, column]
            )
    return gaps, border


def penalty(gaps, border, lam, rho):
    """The authors' form: the mean over 2 x 2 penalties, three or two of them 0."""
    total = 0
    for region, mask in enumerate((border, ~border)):
        for k in (0, 1):
            h = np.where(mask, gaps[k], 0)
            x = lam[region][k] + rho[region][k] * h
            total = total + (x**2 - lam[region][k] ** 2) / (2 * rho[region][k])
    return total / 4


@pytest.mark.parametrize('ignore', [False, True])
def test_value_of_two_channels(batch, both_logits, ignore):
    logits, labels = batch(2, ignore, dtype=torch.float64)
    loss = CRaCLoss(margin=3.7).double()
    loss.lam.copy_(torch.tensor(LAM))
    loss.rho.copy_(torch.tensor(RHO))
    pull = penalty(
        *constraints(both_logits(logits), labels.numpy(), 3.7),
        loss.lam.tolist(),
        loss.rho.tolist(),
    )
    expected = SCBCELoss()(logits, labels).item() + np.nanmean(
        np.where(labels.numpy() == 255, np.nan, pull)
    )
    assert loss(logits, labels).item() == pytest.approx(expected, rel=1e-12)


def test_one_channel_is_the_cheapest_pair_of_logits(batch):
    logits, labels = batch()
    loss = CRaCLoss(margin=2.0, rho=1.0, reduction='none')
    loss.lam.fill_(0.5)
    shifts = torch.linspace(-12, 12, 2401)[:, None, None, None]
    of_all = []
    for z, y in zip(logits, labels):
        pairs = torch.cat([shifts.expand(-1, 1, *y.shape), z + shifts], dim=1)
        of_all.append(loss(pairs, y.expand(len(shifts), -1, -1)).amin(0))
    torch.testing.assert_close(
        loss(logits, labels), torch.stack(of_all), atol=1e-4, rtol=0
    )


def test_small_numbers():
    """A column of foreground beside two of background: the third is inside."""
    labels = torch.tensor([[1, 0, 0]]).expand(1, 3, 3)
    loss = CRaCLoss(margin=5.0, rho=0.1)
    scores = torch.zeros(1, 2, 3, 3)
    loss.observe(scores, labels)
    loss.update_multipliers()
    # Shares of the foreground by column: 1/2, 1/3, 0.
    border = [(1 / 2 + 2 / 3) / 3, (1 / 2 + 1 / 3) / 3]
    expected = 1e-6 + 0.1 * torch.tensor([border, [5 / 3, 0.0]])
    torch.testing.assert_close(loss.lam, expected)


def test_multipliers_and_weights_follow_the_constraints(batch, both_logits):
    loss = CRaCLoss(margin=4.0, rho=9.0, rho_interval=2)
    logits, labels = batch(2, ignore=True)
    valid = labels.numpy() != 255
    lam, means = np.full((2, 2), 1e-6), []
    for scale in (1.0, 0.99, 3.0, 1.0):
        for image in range(len(labels)):
            part = slice(image, image + 1)
            broken = logits[part].masked_fill(labels[part, None] == 255, float('nan'))
            loss.observe(scale * broken, labels[part])
        rho = loss.rho.numpy().copy()
        loss.update_multipliers()
        gaps, border = constraints(both_logits(scale * logits), labels.numpy(), 4.0)
        means.append(
            [
                [np.where(mask, gaps[k], 0)[valid].mean() for k in (0, 1)]
                for mask in (border, ~border)
            ]
        )
        lam = np.clip(lam + rho * means[-1], 1e-6, 1e6)
        np.testing.assert_allclose(loss.lam.numpy(), lam, rtol=1e-5)
        if len(means) == 2:  # hardly less than before: all grow, up to 10
            assert (np.array(means[1]) > 0.9 * np.array(means[0])).all()
            assert (loss.rho == 10).all()
    assert (np.array(means[3]) < 0.9 * np.array(means[2])).all()
    assert (loss.rho == 10).all()


def test_weights_stay_where_the_constraint_shrinks(batch):
    loss = CRaCLoss(rho_interval=1)
    logits, labels = batch()
    for scale, rho in ((1.0, 0.1), (10.0, 0.12), (1.0, 0.12)):
        loss.observe(scale * logits, labels)
        loss.update_multipliers()
        torch.testing.assert_close(loss.rho, torch.full((2, 2), rho))


def test_checkpoint_continues(batch):
    logits, labels = batch()
    first, second = CRaCLoss(rho_interval=2), CRaCLoss(rho_interval=2)
    first.observe(logits, labels)
    first.update_multipliers()
    second.load_state_dict(first.state_dict())
    for loss in (first, second):
        loss.observe(2 * logits, labels)
        loss.update_multipliers()
    assert torch.equal(first.lam, second.lam) and first.rho[0, 0] > 0.1
    assert torch.equal(first.rho, second.rho)


def test_nothing_to_learn_from(batch):
    loss = CRaCLoss()
    with pytest.raises(ValueError, match='needs labelled pixels: pass the validation'):
        loss.update_multipliers()
    logits, labels = batch()
    loss.observe(logits * float('nan'), labels)
    loss.update_multipliers()
    assert (loss.lam == 1e-6).all()
    loss.observe(logits, labels)  # the nan is forgotten
    loss.update_multipliers()
    assert (loss.lam > 1e-6).all()


def test_no_images():
    logits = torch.zeros(0, 1, 6, 9, requires_grad=True)
    loss = CRaCLoss()(logits, torch.zeros(0, 6, 9, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0 and logits.grad.shape == logits.shape


def test_points_have_no_neighbours(batch):
    with pytest.raises(ValueError, match='points have no neighbours'):
        CRaCLoss()(*batch(points=True))
