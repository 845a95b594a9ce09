import doctest

import pytest
import torch
import torch.nn.functional as F

from mmaslp.core import ASLP, SelfCalibratingBCE
from mmaslp.core.aslp import loss as loss_module

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
        (dict(eps=1.0), r'eps must be in \[0, 1\)'),
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
