import math

import pytest
import torch
import torch.nn.functional as F

from mmaslp.common.bands import border_bands
from mmaslp.levels import BandLevels, ImageBandLevels, ImageLevels
from mmaslp.losses import SelfCalibratingBCE

LABELS = torch.tensor([[[0, 1], [1, 1]], [[1, 0], [0, 255]]])
LOGITS = torch.tensor([[[-2.0, 1.0], [0.5, -1.0]], [[3.0, 0.2], [-0.7, 9.0]]])
IDS = ['a.png', 'b.png']


def all_perturbed(beta):
    """A sample that perturbs every image: of levels that are high."""
    strength = SelfCalibratingBCE(beta=beta).perturbation.beta
    level = min(0.99 / strength, 1.0)
    levels = ImageLevels(IDS, beta=beta, rule='fixed', alpha=level)
    samples = (levels.sample(IDS, step) for step in range(1000))
    return next(sample for sample in samples if bool(sample.perturbed.all()))


def bce(logits, target, valid):
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction='none')
    return loss * valid


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
    sample = all_perturbed(beta)
    criterion = SelfCalibratingBCE(beta=beta)
    strength = criterion.perturbation.beta
    valid = (LABELS != 255).float()
    target = (1 - strength) * (LABELS == 1).float() + strength / 2
    expected = bce(LOGITS, target, valid).sum() / 7
    torch.testing.assert_close(criterion(LOGITS, LABELS, sample), expected)
    signed = (2 * (LABELS == 1).float() - 1) * LOGITS * valid
    margin = signed.flatten(1).sum(1) / valid.flatten(1).sum(1)
    torch.testing.assert_close(sample.margin, margin)


@pytest.mark.parametrize('levels', [None, BandLevels()])
def test_without_levels_the_gradient_is_that_of_torch_bit_for_bit(levels):
    draw = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(3, 1, 33, 31, generator=draw)
    labels = (torch.rand(3, 33, 31, generator=draw) < 0.3).long()
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    SelfCalibratingBCE(levels, reduction='sum')(ours, labels).backward()
    F.binary_cross_entropy_with_logits(
        theirs[:, 0], labels.float(), reduction='sum'
    ).backward()
    assert torch.equal(ours.grad, theirs.grad)


def test_only_ignored_pixels_give_zero():
    logits = LOGITS.clone().requires_grad_()
    loss = SelfCalibratingBCE()(logits, torch.full_like(LABELS, 255))
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


@pytest.mark.parametrize('size', [(4, 4), (2, 4, 4)])
def test_a_batch_without_an_image_gives_zero_and_no_error(size):
    levels = ImageBandLevels()
    levels.levels.fill_(0.2)
    logits = torch.zeros(0, 1, *size, requires_grad=True)
    loss = SelfCalibratingBCE(levels)(logits, torch.zeros(0, *size))
    loss.backward()
    assert loss.item() == 0
    assert levels.error_sums.tolist() == [0, 0]


def test_half_precision_is_computed_in_float32():
    loss = SelfCalibratingBCE()(LOGITS.bfloat16(), LABELS)
    assert loss.dtype == torch.float32


def test_smoothing_is_the_expected_target():
    target = 0.9 * (LABELS == 1).float() + 0.05
    valid = (LABELS != 255).float()
    expected = bce(LOGITS, target, valid).sum() / 7
    torch.testing.assert_close(SelfCalibratingBCE(eps=0.1)(LOGITS, LABELS), expected)


def test_a_channel_of_labels_per_class_is_refused():
    logits = torch.stack([torch.zeros_like(LOGITS), LOGITS], dim=1)
    one_hot = torch.stack([LABELS != 1, LABELS == 1], dim=1)
    with pytest.raises(ValueError, match='may be a two-class head or two binary maps'):
        SelfCalibratingBCE()(logits, one_hot)


def half_planes(size=64):
    labels = torch.zeros(2, size, size)
    labels[0, :, size // 2 :] = 1
    labels[1, size // 4 :] = 1
    return labels


LEVELS = torch.tensor([0.8, 0.6, 0.4, 0.2, 0.0], dtype=torch.float64)


def band_levels(levels=LEVELS):
    made = BandLevels()
    made.levels.copy_(levels)
    return made


def logits_like(labels, seed=0):
    return torch.randn(labels.shape, generator=torch.Generator().manual_seed(seed))


def smoothed(labels, valid=None, levels=LEVELS):
    eps = levels.float()[border_bands(labels == 1, valid).long()]
    return (1 - eps) * (labels == 1).float() + eps / 2


@pytest.mark.parametrize('size', [64, 150])  # a cell of one pixel, and of two
def test_expected_targets_by_band(size):
    labels = half_planes(size)
    logits = logits_like(labels).requires_grad_()
    expected = F.binary_cross_entropy_with_logits(logits, smoothed(labels))
    criterion = SelfCalibratingBCE(band_levels())
    loss = criterion(logits, labels)
    torch.testing.assert_close(loss, expected)
    grads = [torch.autograd.grad(each, logits)[0] for each in (loss, expected)]
    torch.testing.assert_close(*grads)
    none = SelfCalibratingBCE(band_levels(), reduction='none')(logits, labels)
    assert none.shape == labels.shape
    torch.testing.assert_close(none.mean(), expected)


def test_levels_of_0_are_plain_bce_and_moved_levels_are_seen():
    labels, levels = half_planes(), BandLevels()
    logits, criterion = logits_like(labels), SelfCalibratingBCE(levels)
    assert criterion(logits, labels) == SelfCalibratingBCE()(logits, labels)
    levels.levels.copy_(LEVELS)
    assert criterion(logits, labels) != SelfCalibratingBCE()(logits, labels)
    assert not criterion.state_dict()  # a model stays loadable without mmaslp


def channels_of(labels, number):
    return torch.stack([labels.roll(3 * k, -1) for k in range(number)], 1)


def test_a_validation_loss_is_binary_cross_entropy():
    levels = BandLevels()
    levels.levels.fill_(0.2)
    criterion = SelfCalibratingBCE(levels)
    logits, labels = torch.full((1, 8, 8), 3.0), torch.ones(1, 8, 8)
    expected = F.binary_cross_entropy_with_logits(logits, labels)
    assert criterion(logits, labels) > expected + 0.1
    assert criterion.eval()(logits, labels) == expected
    many = (logits.expand(64, -1, -1), labels.expand(64, -1, -1))  # one is drawn surely
    for deterministic in (True, False):
        fixed = SelfCalibratingBCE(alpha=0.4, deterministic=deterministic)
        assert fixed(*many) > expected + 0.1
        assert fixed.eval()(*many) == pytest.approx(expected.item(), rel=1e-6)
    levels = ImageLevels(IDS, rule='fixed', alpha=0.49)
    criterion = SelfCalibratingBCE(levels).eval()
    for step in range(20):  # the draws of the training are not those of a validation
        sample = levels.sample(IDS[:1], step)
        assert criterion(logits, labels) == expected
        assert criterion(*(each[:1] for each in many)) == expected
    criterion(logits, labels, sample)  # a sample that is given counts
    assert sample.margin == 3.0


@pytest.mark.parametrize(('number', 'depth'), [(2, None), (3, 4)])
def test_channels_and_slices_are_those_of_a_loop(number, depth):
    labels = half_planes()
    labels[0, :3] = 255
    if depth:
        labels = torch.stack([labels.roll(5 * d, -2) for d in range(depth)], 1)
    labels = channels_of(labels, number)
    logits = logits_like(labels)
    found = SelfCalibratingBCE(band_levels(), channels='independent')(logits, labels)

    total = 0
    for one_logits, one_labels in zip(logits.unbind(1), labels.unbind(1)):
        if not depth:
            one_logits, one_labels = one_logits[:, None], one_labels[:, None]
        for plane, label in zip(one_logits.unbind(1), one_labels.unbind(1)):
            valid = label != 255
            total += bce(plane, smoothed(label, valid), valid.float()).sum()
    torch.testing.assert_close(found, total / (labels != 255).sum())


def test_volumes_have_their_bands_in_the_plane_of_a_slice():
    slices = half_planes()
    volume = torch.stack([slices, slices.flip(-1), 1 - slices], 1)  # (N, D, H, W)
    logits, criterion = logits_like(volume), SelfCalibratingBCE(band_levels())
    targets = torch.stack([smoothed(volume[:, d]) for d in range(3)], 1)
    expected = F.binary_cross_entropy_with_logits(logits, targets)
    for labels in (volume, volume.unsqueeze(1)):
        torch.testing.assert_close(criterion(logits.unsqueeze(1), labels), expected)


def test_either_has_an_axis_of_one_channel():
    labels = half_planes()
    logits, criterion = logits_like(labels), SelfCalibratingBCE(band_levels())
    expected = F.binary_cross_entropy_with_logits(logits, smoothed(labels))
    for given in (logits, logits.unsqueeze(1)):
        for true in (labels, labels.unsqueeze(1)):
            torch.testing.assert_close(criterion(given, true), expected)


@pytest.mark.parametrize(
    ('levels', 'logits', 'labels', 'match'),
    [
        (None, (2, 3, 8, 8), (2, 8, 8), 'logits must be'),
        (ImageLevels(IDS), (2, 8, 8), (2, 8, 8), 'need the sample of the batch'),
    ],
)
def test_what_is_not_supported_is_one_clear_error(levels, logits, labels, match):
    criterion = SelfCalibratingBCE(levels)
    with pytest.raises(ValueError, match=match):
        criterion(torch.zeros(logits), torch.zeros(labels))


@pytest.mark.parametrize('levels', [None, BandLevels(), ImageLevels(IDS)])
def test_weights_in_the_place_of_the_sample(levels):
    with pytest.raises(ValueError, match='must be that of ImageLevels'):
        SelfCalibratingBCE(levels)(LOGITS, LABELS, torch.ones(2, 2, 2))


@pytest.mark.parametrize('ignored', [0, 1])
def test_a_class_cannot_be_ignored(ignored):
    for criterion, given in (
        (SelfCalibratingBCE(ignore_index=ignored), None),
        (SelfCalibratingBCE(), ignored),
    ):
        with pytest.raises(ValueError, match=f'ignore_index={ignored}'):
            criterion(torch.zeros(2, 8, 8), torch.ones(2, 8, 8), ignore_index=given)


def test_levels_are_not_assigned():
    criterion = SelfCalibratingBCE(BandLevels())
    with pytest.raises(AttributeError, match='levels'):
        criterion.levels = BandLevels()


def test_levels_of_the_loss_are_not_replaced_silently():
    criterion = SelfCalibratingBCE(BandLevels(warmup=3))
    criterion.bind(criterion.levels)
    with pytest.raises(ValueError, match='levels of its own'):
        criterion.bind(BandLevels())
    bound = SelfCalibratingBCE()
    for _ in range(2):  # of two trainings
        bound.bind(BandLevels())


@pytest.mark.parametrize('fixed', [dict(alpha=0.1), dict(eps=0.1)])
def test_a_fixed_strength_does_not_stand_beside_levels_that_learn(fixed):
    criterion = SelfCalibratingBCE(**fixed)
    criterion.bind(ImageLevels(IDS, rule='fixed', alpha=0.1))
    for levels in (ImageLevels(IDS), BandLevels()):
        with pytest.raises(ValueError, match='alpha'):
            criterion.bind(levels)
        with pytest.raises(ValueError, match='alpha'):
            SelfCalibratingBCE(levels, **fixed)


def test_points_of_a_host_take_the_mean_level():
    criterion = SelfCalibratingBCE(band_levels())
    logits, labels = torch.ones(2, 7), torch.ones(2, 7)
    expected = F.binary_cross_entropy_with_logits(logits, torch.full((2, 7), 0.8))
    torch.testing.assert_close(criterion(logits, labels), expected)


def test_ignored_pixels_make_no_border():
    labels = half_planes()
    labels[:, 30:] = 255
    levels = torch.tensor([0.8, 0.8, 0.8, 0.8, 0.0], dtype=torch.float64)
    criterion = SelfCalibratingBCE(band_levels(levels), reduction='none')
    logits = torch.ones(labels.shape)
    valid = labels != 255
    expected = bce(logits, smoothed(labels, valid, levels), valid.float())
    torch.testing.assert_close(criterion(logits, labels), expected)


@pytest.mark.parametrize('options', [{}, {'alpha': 0.3}, {'eps': 0.1}])
def test_a_validation_loss_draws_nothing(options):
    criterion = SelfCalibratingBCE(**options).eval()
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    loss = criterion(torch.zeros(2, 1, 4, 4), torch.ones(2, 4, 4))
    assert torch.rand(1) == expected
    assert loss.item() == pytest.approx(0.6931, abs=1e-4)


@pytest.mark.parametrize('divisor', [0, -1.0, float('nan')])
def test_what_no_sum_can_be_divided_by_is_refused(divisor):
    criterion = SelfCalibratingBCE()
    logits, labels = torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 4)
    with pytest.raises(ValueError, match='avg_factor must be a number, above 0'):
        criterion(logits, labels, avg_factor=divisor)
    for two in (2, torch.tensor(2.0)):  # the sum is that of 16 pixels of log 2
        loss = criterion(logits, labels, avg_factor=two)
        assert loss.item() == pytest.approx(8 * math.log(2))


@pytest.mark.parametrize('number', [torch.tensor(0), torch.tensor(0.0)])
def test_a_batch_of_ignored_pixels_counts_none_and_has_the_loss_0(number):
    logits = torch.zeros(1, 1, 4, 4, requires_grad=True)
    ignored = torch.full((1, 4, 4), 255.0)
    loss = SelfCalibratingBCE(ignore_index=255)(logits, ignored, avg_factor=number)
    loss.backward()
    assert loss == 0
    assert not logits.grad.any()


def test_a_second_derivative_is_refused_or_right():
    weight = torch.ones(1, requires_grad=True)
    logits, labels = torch.linspace(-2, 2, 16).view(1, 1, 4, 4), torch.ones(1, 4, 4)
    with pytest.raises(ValueError, match="take reduction='none' and its mean"):
        loss = SelfCalibratingBCE()(weight * logits, labels)
        torch.autograd.grad(loss, weight, create_graph=True)

    seconds = []
    for loss in (
        SelfCalibratingBCE(reduction='none')(weight * logits, labels).mean(),
        F.binary_cross_entropy_with_logits(weight * logits[:, 0], labels),
    ):
        (first,) = torch.autograd.grad(loss, weight, create_graph=True)
        seconds += torch.autograd.grad(first, weight)
    assert seconds[0].item() == pytest.approx(seconds[1].item(), rel=1e-5)
    assert seconds[0] > 0.1
