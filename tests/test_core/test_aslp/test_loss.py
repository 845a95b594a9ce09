import doctest

import pytest
import torch
import torch.nn.functional as F

from mmaslp.core import ASLP, SelfCalibratingBCE
from mmaslp.core.aslp import loss as loss_module
from mmaslp.core.bands import border_bands

LABELS = torch.tensor([[[0, 1], [1, 1]], [[1, 0], [0, 255]]])
LOGITS = torch.tensor([[[-2.0, 1.0], [0.5, -1.0]], [[3.0, 0.2], [-0.7, 9.0]]])
IDS = ['a.png', 'b.png']


def all_perturbed(beta, **kwargs):
    """A draw that perturbs every image: of a learner whose levels are high."""
    aslp = ASLP(IDS, beta=beta, rule='fixed', alpha=min(0.99 / aslp_beta(beta), 1.0))
    step = next(s for s in range(1000) if bool(aslp.draw(IDS, s).perturbed.all()))
    return aslp.draw(IDS, step)


def aslp_beta(beta):
    return SelfCalibratingBCE(beta).perturbation.beta


def bce(logits, target, valid):
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction='none')
    return loss * valid


def test_example():
    assert doctest.testmod(loss_module).failed == 0


@pytest.mark.parametrize('shape', ['plain', 'channel', 'two channels', 'label channel'])
def test_shapes_give_the_same_mean_over_valid_pixels(shape):
    logits, labels = LOGITS, LABELS
    if shape != 'plain':
        logits = logits.unsqueeze(1)
    if shape == 'two channels':
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    if shape == 'label channel':
        labels = labels.unsqueeze(1)
    valid = (LABELS != 255).float()
    expected = bce(LOGITS, (LABELS == 1).float(), valid).sum() / 7
    found = SelfCalibratingBCE()(logits, labels)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('beta', ['HI', 'SI', 'M', 0.3])
def test_perturbed_images_have_the_perturbed_target(beta):
    draw = all_perturbed(beta)
    criterion = SelfCalibratingBCE(beta)
    strength = criterion.perturbation.beta
    valid = (LABELS != 255).float()
    target = (1 - strength) * (LABELS == 1).float() + strength / 2
    expected = bce(LOGITS, target, valid).sum() / 7
    torch.testing.assert_close(criterion(LOGITS, LABELS, draw), expected)
    signed = (2 * (LABELS == 1).float() - 1) * LOGITS * valid
    margin = signed.flatten(1).sum(1) / valid.flatten(1).sum(1)
    torch.testing.assert_close(draw.margin, margin)


def test_dynamic_moderation_adds_noise_that_depends_on_the_draw_alone():
    draw = all_perturbed('DM')
    plain = SelfCalibratingBCE('M', reduction='none')(
        LOGITS, LABELS, all_perturbed('M')
    )
    criterion = SelfCalibratingBCE('DM', reduction='none')
    noisy, again = criterion(LOGITS, LABELS, draw), criterion(LOGITS, LABELS, draw)
    assert torch.equal(noisy, again)
    # loss(t + n) - loss(t) = -n z, with |n| <= 0.25
    noise = (plain - noisy) / LOGITS
    assert noise[1, 1, 1] == 0  # ignored
    assert 0 < noise.abs().max() <= 0.25 + 1e-6 and noise.flatten()[:7].std() > 0.01


def test_reductions_and_weights():
    valid = (LABELS != 255).float()
    plain = bce(LOGITS, (LABELS == 1).float(), valid)
    weight = torch.tensor([2.0, 0.5]).view(2, 1, 1)
    for reduction, expected in (
        ('none', plain * weight),
        ('sum', (plain * weight).sum()),
        ('mean', (plain * weight).sum() / 7),
    ):
        criterion = SelfCalibratingBCE(reduction=reduction)
        found = criterion(LOGITS, LABELS, weight=weight)
        torch.testing.assert_close(found, expected)


def test_gradient_is_that_of_the_sum_over_pixels():
    draw = all_perturbed('SI')
    grads = []
    for weight in (None, torch.ones(2, 2, 2)):  # one pass, and pixel by pixel
        logits = LOGITS.clone().requires_grad_()
        SelfCalibratingBCE('SI')(logits, LABELS, draw, weight).backward()
        grads.append(logits.grad)
    torch.testing.assert_close(*grads)
    assert grads[0][1, 1, 1] == 0


def test_only_ignored_pixels_give_zero():
    logits = LOGITS.clone().requires_grad_()
    loss = SelfCalibratingBCE()(logits, torch.full_like(LABELS, 255))
    loss.backward()
    assert loss.item() == 0 and not logits.grad.any()


def test_half_precision_is_computed_in_float32():
    loss = SelfCalibratingBCE()(LOGITS.bfloat16(), LABELS)
    assert loss.dtype == torch.float32


def test_smoothing_is_the_expected_target():
    target = 0.9 * (LABELS == 1).float() + 0.05
    valid = (LABELS != 255).float()
    expected = bce(LOGITS, target, valid).sum() / 7
    torch.testing.assert_close(SelfCalibratingBCE(eps=0.1)(LOGITS, LABELS), expected)


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        (dict(beta=3), r'beta must be a number in \(0, 2\]'),
        (dict(beta='XX'), 'no known perturbation'),
        (dict(alpha=0.5), 'would flip the expected label'),
        (dict(eps=0.1, alpha=0.1), 'either eps .* or alpha'),
        (dict(eps=1.0), r'eps must be a number in \[0, 1\)'),
        (dict(beta=0.5, eps=0.6), 'is more than beta'),
        (dict(alpha=0.1, deterministic=True, per_pixel=True), 'set one of them'),
        (dict(reduction='average'), 'reduction must be one of none, mean, sum'),
    ],
)
def test_bad_options(options, match):
    with pytest.raises(ValueError, match=match):
        SelfCalibratingBCE(**options)


def test_draws_of_another_batch_or_strength():
    draw = all_perturbed('HI')
    with pytest.raises(ValueError, match='a batch of 2 images but the loss is called'):
        SelfCalibratingBCE()(LOGITS[:1], LABELS[:1], draw)
    with pytest.raises(ValueError, match='give ASLP and every loss the same beta'):
        SelfCalibratingBCE('M')(LOGITS, LABELS, draw)


@pytest.mark.parametrize('labels', [LABELS[:, :1], LABELS.flatten(1), LABELS[:1]])
def test_labels_that_do_not_fit(labels):
    with pytest.raises(ValueError, match='do not fit logits of shape'):
        SelfCalibratingBCE()(LOGITS.unsqueeze(1), labels)


def test_a_channel_of_labels_per_class_is_refused():
    logits = torch.stack([torch.zeros_like(LOGITS), LOGITS], dim=1)
    one_hot = torch.stack([LABELS != 1, LABELS == 1], dim=1)
    with pytest.raises(ValueError, match='without a channel per class'):
        SelfCalibratingBCE()(logits, one_hot)


def half_planes(size=64):
    labels = torch.zeros(2, size, size)
    labels[0, :, size // 2 :] = 1
    labels[1, size // 4 :] = 1
    return labels


def region_draw(levels, labels=None, beta='HI', **options):
    aslp = ASLP(IDS, beta=beta, regions='border', **options)
    aslp.profile.copy_(torch.tensor(levels, dtype=torch.float64))
    return aslp.draw(IDS, 0)


def test_expected_targets_by_region():
    levels = [0.4, 0.3, 0.2, 0.1, 0.0]
    labels, draw = half_planes(), region_draw(levels)
    logits = torch.randn(labels.shape, generator=torch.Generator().manual_seed(0))
    eps = 2 * torch.tensor(levels)[border_bands(labels).long()]
    target = (1 - eps) * labels + eps / 2
    expected = F.binary_cross_entropy_with_logits(logits, target)
    for criterion in (SelfCalibratingBCE(), SelfCalibratingBCE(deterministic=True)):
        torch.testing.assert_close(criterion(logits, labels, draw), expected)
    draw = region_draw(levels)
    SelfCalibratingBCE()(logits, labels, draw)
    signed = ((2 * labels - 1) * logits).flatten(1).mean(1)
    torch.testing.assert_close(draw.margin, signed)


@pytest.mark.parametrize('per_pixel', [False, True])
def test_draws_by_region_have_the_expectation_of_their_levels(per_pixel):
    levels = torch.tensor([0.45, 0.3, 0.2, 0.1, 0.0])
    labels = half_planes()
    criterion = SelfCalibratingBCE(
        'HI', deterministic=False, reduction='none', per_pixel=per_pixel
    )
    aslp = ASLP(IDS, regions='border')
    aslp.profile.copy_(levels.double())
    bands = border_bands(labels).long()
    logits = torch.full(labels.shape, 2.0)
    flipped = torch.zeros(2, 5)
    for step in range(400):
        loss = criterion(logits, labels, aslp.draw(IDS, step))
        target = F.softplus(logits) - loss > 1  # t z with z = 2
        changed = (target != labels.bool()).float()
        for k in range(5):
            share = [changed[i][bands[i] == k].mean() for i in range(2)]
            if not per_pixel:  # a band of an image as a whole
                assert set(map(float, share)) <= {0.0, 1.0}
            flipped[:, k] += torch.stack(share) / 400
    assert (flipped - levels).abs().max() < (0.01 if per_pixel else 0.09)


def test_bands_are_perturbed_together_from_the_highest_level_on():
    draws = [region_draw([0.4, 0.3, 0.2, 0.1, 0.05]).perturbed]
    aslp = ASLP(IDS, regions='border')
    aslp.profile.copy_(torch.tensor([0.4, 0.3, 0.2, 0.1, 0.05]))
    draws += [aslp.draw(IDS, step).perturbed for step in range(300)]
    bands = torch.cat(draws)[:, :5].int()
    assert (bands.diff(dim=1) <= 0).all()
    assert len(bands.unique(dim=0)) == 6


def test_points_take_the_mean_level_of_the_bands():
    aslp = ASLP(IDS, rule='FB', alpha=0.2, regions='border')
    aslp.observe(
        0.9,
        0.95,
        region_gap=[0.1] * 2 + [0.0] * 3,
        region_share=[0.5, 0.25, 0.25, 0, 0],
    )
    raised = 0.2 + 0.1 / 3
    mean = 0.5 * raised + 0.25 * raised + 0.25 * 0.2
    logits, labels = torch.ones(2, 1, 7), torch.ones(2, 7)
    criterion = SelfCalibratingBCE('HI', deterministic=True)
    found = criterion(logits, labels, aslp.draw(IDS, 0))
    target = torch.full((2, 7), 1 - mean)
    expected = F.binary_cross_entropy_with_logits(logits[:, 0], target)
    torch.testing.assert_close(found, expected)


def test_ignored_pixels_make_no_border():
    labels = half_planes()
    labels[:, 30:] = 255
    draw = region_draw([0.4, 0.4, 0.4, 0.4, 0.0])
    criterion = SelfCalibratingBCE('HI', deterministic=True, reduction='none')
    logits = torch.zeros(2, 64, 64)
    logits.fill_(1.0)
    loss = criterion(logits, labels, draw)
    valid = labels != 255
    eps = torch.where(border_bands(labels == 1, valid) < 4, 0.8, 0.0)
    target = (1 - eps) * (labels == 1).float() + eps / 2
    expected = bce(logits, target, valid.float())
    torch.testing.assert_close(loss, expected)


def test_weights_with_a_channel_axis_and_weights_of_ignored_pixels():
    criterion = SelfCalibratingBCE()
    weight = torch.rand(2, 2, 2, generator=torch.Generator().manual_seed(0))
    expected = criterion(LOGITS, LABELS, weight=weight)
    odd = torch.where(LABELS == 255, float('nan'), weight)
    for given in (weight.unsqueeze(1), odd, odd.unsqueeze(1)):
        torch.testing.assert_close(criterion(LOGITS, LABELS, weight=given), expected)
    with pytest.raises(ValueError, match=r'weight of shape .* does not fit the labels'):
        criterion(LOGITS, LABELS, weight=torch.ones(3, 2, 2))


def test_a_channel_that_both_keep_changes_nothing():
    labels, draw = half_planes(), region_draw([0.4, 0.3, 0.2, 0.1, 0.0])
    logits = torch.randn(labels.shape, generator=torch.Generator().manual_seed(0))
    criterion = SelfCalibratingBCE()
    one = criterion(logits, labels, draw)
    other = criterion(logits.unsqueeze(1), labels.unsqueeze(1), draw)
    assert one == other
    points = criterion(torch.ones(2, 1, 7), torch.ones(2, 1, 7), draw)
    assert points == criterion(torch.ones(2, 1, 7), torch.ones(2, 7), draw)
    none = SelfCalibratingBCE(reduction='none')
    assert none(logits.unsqueeze(1), labels.unsqueeze(1)).shape == labels.shape
