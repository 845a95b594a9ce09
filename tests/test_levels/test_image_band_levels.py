import copy
import json

import pytest
import torch

from mmaslp.common.bands import border_bands
from mmaslp.levels import BandLevels, ImageBandLevels
from mmaslp.losses import SelfCalibratingBCE

from .tables import Table

GAPS = [0.1, 0.08, 0.05, 0.02, 0.01]


def batch(images=3, size=32):
    """Logits and labels; each image is wrong in more columns than the one before."""
    labels = torch.zeros(images, size, size)
    labels[:, :, size // 2 :] = 1
    logits = torch.stack(
        [8 * label.roll(1 + 3 * row, 1) - 4 for row, label in enumerate(labels)]
    )
    return logits, labels


def error_of(logits, labels):
    """Mean of |p - y| of each image, in float64."""
    return (logits.double().sigmoid() - labels.double()).abs().mean((1, 2))


def moved(mean_error=0.1):
    levels = ImageBandLevels()
    levels.levels.copy_(torch.tensor([0.4, 0.3, 0.2, 0.1, 0.05]))
    levels.mean_error = mean_error
    return levels


@pytest.mark.parametrize('reduction', ['mean', 'none'])
def test_smoothing_is_the_level_of_the_band_times_the_weight_of_the_image(reduction):
    logits, labels = batch()
    levels = moved()
    loss = SelfCalibratingBCE(levels, reduction=reduction)(logits, labels).mean()
    weights = (error_of(logits, labels) / 0.1).clip(0.2, 4)
    assert len(set(weights.tolist())) == 3
    eps = levels.levels[border_bands(labels).long()] * weights.view(3, 1, 1)
    target = (1 - eps.clip(max=0.98)) * labels.double() + eps.clip(max=0.98) / 2
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        logits.double(), target
    )
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_weights_have_bounds_and_targets_keep_their_side():
    logits = torch.tensor([-12.0, 12.0]).view(2, 1, 1, 1).expand(2, 1, 8, 8).clone()
    levels = moved(mean_error=0.001)
    levels.levels.fill_(0.9)
    logits.requires_grad_()
    SelfCalibratingBCE(levels)(logits, torch.zeros(2, 8, 8)).backward()
    smoothing = 2 * (logits.detach().sigmoid() - 128 * logits.grad)
    assert smoothing[0].mean().item() == pytest.approx(0.2 * 0.9, abs=1e-5)
    assert smoothing[1].mean().item() == pytest.approx(0.98, abs=1e-5)


def test_slices_of_a_volume_share_the_weight_of_the_volume():
    logits, labels = batch(4)
    flat = moved()
    flat.mean_error = None
    volumes = moved()
    criterion = SelfCalibratingBCE(volumes)
    noted = []
    volumes.listener = noted.append
    criterion(logits.view(2, 1, 2, 32, 32), labels.view(2, 1, 2, 32, 32))
    expected = error_of(logits, labels).view(2, 2).mean(1)
    assert noted[0].tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_pixels_without_a_label_have_no_error():
    logits, labels = batch(2)
    ignored = labels.clone()
    ignored[:, :16] = 255
    ignored[1] = 255
    levels = moved()
    noted = []
    levels.listener = noted.append
    loss = SelfCalibratingBCE(levels)(logits, ignored)
    expected = error_of(logits[:, 16:], labels[:, 16:])
    assert noted[0][0].item() == pytest.approx(expected[0].item(), abs=1e-6)
    assert noted[0][1].isnan()
    assert levels.error_sums.tolist() == pytest.approx([expected[0].item(), 1])
    assert loss.isfinite()


def test_the_mean_error_is_that_of_all_images_since_the_last_validation():
    levels = ImageBandLevels(warmup=1)
    criterion = SelfCalibratingBCE(levels)
    logits, labels = batch()
    criterion(logits, labels)
    criterion(logits[:1], labels[:1])
    with torch.no_grad():  # a validation before `eval()`
        criterion(1 - logits, labels)
    levels.observe(Table(GAPS))
    errors = error_of(logits, labels)
    expected = (errors.sum() + errors[0]).item() / 4
    assert levels.mean_error == pytest.approx(expected, abs=1e-6)
    assert not levels.levels.any()  # warm-up
    criterion(logits[2:], labels[2:])
    levels.observe(Table(GAPS))
    assert levels.mean_error == pytest.approx(errors[2].item(), abs=1e-6)
    assert levels.levels[0] > 0


def test_channels_that_come_last_are_refused():
    logits, labels = batch()
    with pytest.raises(ValueError, match='1 pixels wide: if the last axis is one of'):
        SelfCalibratingBCE(moved())(logits[..., None], labels[..., None])


@pytest.mark.parametrize('given', [torch.full((5,), torch.nan), torch.zeros(3)])
def test_what_follow_returns_is_checked(given):
    class Own(ImageBandLevels):
        def follow(self, figures):
            return given

    with pytest.raises(ValueError, match='follow must return the 5 levels'):
        Own().observe(Table(GAPS))


def test_levels_of_the_bands_are_those_of_levels_by_band():
    by_both, by_band = ImageBandLevels(gain=2), BandLevels(gain=2)
    for levels in (by_both, by_band):
        levels.observe(Table(GAPS))
    assert torch.equal(by_both.levels, by_band.levels)


@pytest.mark.parametrize('mode', ['zero', 'eval'])
def test_levels_of_0_and_eval_are_binary_cross_entropy_bit_for_bit(mode):
    logits, labels = batch()
    levels = moved()
    criterion = SelfCalibratingBCE(levels)
    if mode == 'zero':
        levels.levels.zero_()
    else:
        criterion.eval()
    gradients = []
    state = torch.get_rng_state()
    for loss in (criterion, SelfCalibratingBCE()):
        leaf = logits.clone().requires_grad_()
        loss(leaf, labels).backward()
        gradients.append(leaf.grad)
    assert torch.equal(*gradients)
    assert torch.equal(torch.get_rng_state(), state)  # nothing is drawn


def test_a_saved_state_goes_on_bit_for_bit():
    logits, labels = batch()
    first = ImageBandLevels()
    criterion = SelfCalibratingBCE(first)
    criterion(logits, labels)
    first.observe(Table(GAPS))
    criterion(logits[:2], labels[:2])
    second = ImageBandLevels()
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert second.state_dict() == first.state_dict()
    losses = [SelfCalibratingBCE(each)(logits, labels) for each in (first, second)]
    assert losses[0] == losses[1]
    for levels in (first, second):
        levels.observe(Table(GAPS))
    assert second.state_dict() == first.state_dict()


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        (dict(version=4), 'another version'),
        (dict(kind='BandLevels'), 'not one of ImageBandLevels'),
        (dict(mean_error=2.0), 'ImageBandLevels is damaged'),
        (dict(error_sums=[1.0]), 'ImageBandLevels is damaged'),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, match):
    levels = moved()
    before = copy.deepcopy(levels.state_dict())
    with pytest.raises(ValueError, match=match):
        levels.load_state_dict({**before, **change})
    assert levels.state_dict() == before


def test_logits_that_are_not_finite_leave_the_mean_as_it_is():
    logits, labels = batch(2)
    logits[0, 0, 0] = torch.nan
    levels = moved()
    SelfCalibratingBCE(levels)(logits, labels)
    expected = error_of(logits, labels)[1].item()
    assert levels.error_sums.tolist() == pytest.approx([expected, 1], abs=1e-6)


def test_losses_of_a_batch_share_the_weights_by_the_errors_of_the_first():
    """Of an auxiliary head too, whose larger errors move nothing."""
    main, labels = batch()
    auxiliary = 0.3 * main
    errors = error_of(main, labels)
    levels = moved(mean_error=errors.mean().item())
    criterion = SelfCalibratingBCE(levels, reduction='none')
    levels.start_batch()
    losses = [criterion(logits, labels) for logits in (main, auxiliary, main)]
    few = criterion(auxiliary[:1], labels[:1])  # of a head that leaves images out
    levels.end_batch()
    assert levels.error_sums.tolist() == pytest.approx([errors.sum().item(), 3])
    assert torch.equal(losses[0], losses[2])

    weights = (errors / errors.mean()).clip(0.2, 4).view(3, 1, 1)
    eps = levels.levels[border_bands(labels).long()] * weights
    plain = SelfCalibratingBCE(reduction='none')(auxiliary, labels)
    moved_by = (labels - 0.5) * eps * auxiliary
    torch.testing.assert_close(losses[1], (plain + moved_by).float())
    assert not torch.equal(few, losses[1][:1])

    levels.start_batch()  # of other images
    criterion(auxiliary, labels)
    levels.end_batch()
    criterion(auxiliary, labels)
    total = errors.sum() + 2 * error_of(auxiliary, labels).sum()
    assert levels.error_sums.tolist() == pytest.approx([total.item(), 9])
