import pytest
import torch
import torch.nn.functional as F

from mmaslp.losses import image_margin, sc_bce
from mmaslp.losses.functional import Strength, image_error, sc_bce_per_image
from tests.properties import given, settings, st


def make(seed=0, shape=(3, 5, 7), scale=4.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(shape, generator=generator, dtype=dtype)
    labels = (torch.rand(shape, generator=generator) < 0.4).to(dtype)
    valid = torch.rand(shape, generator=generator) < 0.8
    return logits, labels, valid


def test_sc_bce_is_bce_with_logits():
    logits, labels, _ = make()
    target = 0.75 - 0.5 * labels  # beta = 1.5
    expected = F.binary_cross_entropy_with_logits(logits, target, reduction='none')
    torch.testing.assert_close(sc_bce(logits, target), expected)


def test_sc_bce_ignores_invalid_pixels_whatever_they_hold():
    logits, labels, valid = make()
    logits[~valid] = float('nan')
    logits.requires_grad_()
    loss = sc_bce(logits, labels, valid)
    assert (loss[~valid] == 0).all()
    assert torch.isfinite(loss).all()
    loss.sum().backward()
    assert (logits.grad[~valid] == 0).all()
    assert torch.isfinite(logits.grad).all()


@given(st.integers(0, 1000), st.floats(0.05, 2.0))
@settings(deadline=None, max_examples=50)
def test_margin_is_the_gradient_with_respect_to_alpha(seed, beta):
    logits, labels, valid = make(seed)
    count = valid.flatten(1).sum(1)
    perturbed = sc_bce(logits, (1 - beta) * labels + beta / 2, valid)
    plain = sc_bce(logits, labels, valid)
    gradient = (perturbed - plain).flatten(1).sum(1) / count
    margin = image_margin(logits, labels, valid)
    torch.testing.assert_close(gradient, beta / 2 * margin)


@pytest.mark.parametrize('masked', [False, True])
@pytest.mark.parametrize('noisy', [False, True])
@pytest.mark.parametrize('per_pixel', [False, True])
def test_one_pass_equals_the_separate_functions(masked, noisy, per_pixel):
    logits, labels, valid = make()
    valid = valid if masked else None
    noise = 0.1 * torch.randn(logits.shape, dtype=torch.float64) if noisy else None
    strength = torch.tensor([0.0, 1.5, 2.0], dtype=torch.float64)
    if per_pixel:
        strength = 2.0 * (torch.rand(logits.shape) < 0.5).double()
    wide = strength if per_pixel else strength.view(3, 1, 1)

    reference = logits.clone().requires_grad_()
    target = (1 - wide) * labels + wide / 2
    if noisy:
        target = target + noise
    counted = torch.ones_like(labels) if valid is None else valid.to(labels.dtype)
    losses = F.binary_cross_entropy_with_logits(reference, target, reduction='none')
    expected = (losses * counted).flatten(1).sum(1)
    weights = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    (expected * weights).sum().backward()

    fused = logits.clone().requires_grad_()
    loss, margin = sc_bce_per_image(
        fused, labels.clone(), Strength(strength, noise=noise), valid
    )
    (loss * weights).sum().backward()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(fused.grad, reference.grad)
    signed = (2 * labels - 1) * logits * counted
    means = signed.flatten(1).sum(1) / counted.flatten(1).sum(1)
    torch.testing.assert_close(margin, means)


def test_one_pass_gradient_is_numerically_right():
    logits, labels, valid = make(shape=(2, 3, 4))
    strength = Strength(torch.tensor([0.0, 2.0], dtype=torch.float64))
    assert torch.autograd.gradcheck(
        lambda z: sc_bce_per_image(z, labels.clone(), strength, valid)[0],
        (logits.requires_grad_(),),
    )


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    logits, labels, _ = make(dtype=torch.float32)
    half = logits.to(dtype).requires_grad_()
    loss, margin = sc_bce_per_image(half, labels.clone(), Strength(torch.zeros(3)))
    assert loss.dtype == margin.dtype == torch.float32
    loss.sum().backward()
    assert half.grad.dtype == dtype
    expected = torch.sigmoid(half.detach().float()) - labels
    torch.testing.assert_close(half.grad.float(), expected, atol=5e-3, rtol=0)


@pytest.mark.parametrize('maps_per_image', [1, 3])
def test_no_ignored_pixel_counts_for_the_error_of_its_image(maps_per_image):
    logits, labels, valid = make(shape=(3, 5, 7))
    expected = image_error(logits, labels, valid, maps_per_image)
    for odd in (float('nan'), float('inf'), -1e30):
        spoilt = torch.where(valid, logits, odd)
        assert image_error(spoilt, labels, valid, maps_per_image).equal(expected)
