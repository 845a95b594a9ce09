import copy
import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.model import MMDistributedDataParallel
from mmseg.registry import MODELS

from mmaslp import SCBCELoss
from mmaslp.common.draws import image_keys, iteration_keys
from mmaslp.integrations.mmseg.checks.run import find_losses
from mmaslp.levels import BandLevels, ImageLevels
from mmaslp.losses import Sample, SelfCalibratingBCE

CHANNELS = pytest.mark.parametrize('channels', [1, 2])


def batch(channels=1, ignore=False, points=False, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    space = (40,) if points else (6, 9)
    logits = 3 * torch.randn(4, channels, *space, generator=generator)
    labels = torch.randint(0, 2, (4, *space), generator=generator)
    if ignore:
        labels[torch.rand(labels.shape, generator=generator) < 0.3] = 255
    return logits.to(dtype), labels


def managed(loss, perturbed, alpha=0.3, iteration=0):
    """Give a loss levels with a sample, as the hook does."""
    names = [str(i) for i in range(len(perturbed))]
    levels = ImageLevels(names, loss.criterion.perturbation)
    levels.pending = Sample(
        alpha=torch.full((len(perturbed),), alpha),
        perturbed=torch.tensor(perturbed),
        keys=iteration_keys(image_keys(names), 0, iteration),
    )
    loss.criterion.bind(levels)
    return levels.pending


def z_of(logits):
    return logits[:, 0] if logits.size(1) == 1 else logits[:, 1] - logits[:, 0]


def reference(logits, target, labels):
    valid = labels != 255
    loss = F.binary_cross_entropy_with_logits(
        z_of(logits), target.float(), reduction='none'
    )
    return torch.where(valid, loss, 0.0), valid


# ---- the target ----


@pytest.mark.parametrize(
    ('channels', 'points', 'ignore'),
    [(1, False, True), (2, True, True), (2, False, False), (1, True, False)],
)
def test_alpha_0_is_bce_over_valid_pixels(channels, points, ignore):
    logits, labels = batch(channels, ignore=ignore, points=points)
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss = SCBCELoss()(ours, labels)
    expected, valid = reference(theirs, labels.clamp_max(1), labels)
    expected = expected.sum() / valid.sum()
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize('beta', ['HI', 'SI', 0.7])
def test_the_whole_image_is_perturbed(beta):
    loss = SCBCELoss(beta=beta)
    strength = loss.criterion.perturbation.beta
    managed(loss, [True, False, True, False])
    logits, labels = batch(ignore=True)
    target = labels.clamp_max(1).float()
    target[0::2] = (1 - strength) * target[0::2] + strength / 2
    expected, valid = reference(logits, target, labels)
    torch.testing.assert_close(loss(logits, labels), expected.sum() / valid.sum())


def test_label_smoothing():
    logits, labels = batch()
    target = 0.9 * labels + 0.05
    expected = F.binary_cross_entropy_with_logits(z_of(logits), target)
    torch.testing.assert_close(SCBCELoss(eps=0.1)(logits, labels), expected)
    same = SCBCELoss(beta='M', alpha=0.1, deterministic=True)
    torch.testing.assert_close(same(logits, labels), expected)
    follows = SCBCELoss(beta='HI', deterministic=True)
    managed(follows, [True, True, False, False], alpha=0.05)
    torch.testing.assert_close(follows(logits, labels), expected)


def test_disturb_label_draws_per_pixel():
    torch.manual_seed(0)
    loss = SCBCELoss(beta='HI', alpha=0.2, per_pixel=True)
    logits = torch.full((2, 1, 100, 100), 2.0)
    labels = torch.ones(2, 100, 100, dtype=torch.long)
    per_pixel = loss(logits, labels, reduction_override='none')
    flipped = per_pixel > 1
    assert abs(flipped.float().mean() - 0.2) < 0.02
    assert not torch.equal(flipped[0], flipped[1])


def test_margins_are_recorded_with_the_weight_of_the_loss():
    logits, labels = batch(ignore=True)
    main, aux = SCBCELoss(), SCBCELoss(loss_weight=0.4)
    sample = managed(main, [False] * 4)
    aux.criterion.bind(main.criterion.levels)
    main(logits, labels)
    aux(-3 * logits, labels)
    valid = labels != 255
    signed = torch.where(valid, (2 * labels - 1) * z_of(logits), 0.0)
    margin = signed.flatten(1).sum(1) / valid.flatten(1).sum(1)
    torch.testing.assert_close(sample.margin, margin * (1 - 3 * 0.4) / 1.4)


# ---- the contract of MMSegmentation ----


@CHANNELS
def test_gradient(channels):
    logits, labels = batch(channels, ignore=True, dtype=torch.float64)
    logits = logits[:2, :, :4, :4].clone().requires_grad_()
    loss = SCBCELoss(class_weight=[1.0, 2.0])
    assert loss(logits, labels[:2, :4, :4]).dtype == torch.float64
    assert torch.autograd.gradcheck(loss, (logits, labels[:2, :4, :4]))


@CHANNELS
def test_ignored_pixels_have_no_effect(channels):
    logits, labels = batch(channels, ignore=True)
    loss = SCBCELoss()
    invalid = (labels == 255).unsqueeze(1)
    expected = loss(logits, labels)
    broken = logits.masked_fill(invalid, float('nan')).requires_grad_()
    weight = torch.ones(labels.shape).masked_fill(labels == 255, math.inf)
    for weights in (None, weight):
        broken.grad = None
        actual = loss(broken, labels, weight=weights)
        torch.testing.assert_close(actual, expected)
        actual.backward()
        assert (broken.grad[invalid.expand_as(broken)] == 0).all()
        assert torch.isfinite(broken.grad).all()
        assert broken.grad.abs().sum() > 0
    none = loss(broken, labels, reduction_override='none')
    assert none.shape == labels.shape
    assert (none[labels == 255] == 0).all()
    assert loss(logits, torch.full_like(labels, 255)) == 0


@CHANNELS
def test_weights_and_reductions(channels):
    logits, labels = batch(channels, ignore=True)
    per_pixel = SCBCELoss()(logits, labels, reduction_override='none')
    weight = torch.rand(labels.shape)
    weighted = per_pixel * weight * torch.where(labels == 1, 3.0, 1.0)
    num_valid = (labels != 255).sum()
    for expected, arguments, call in (
        (weighted, dict(reduction='none'), dict()),
        (weighted.sum(), dict(reduction='sum'), dict()),
        (weighted.sum() / num_valid, dict(), dict()),
        (weighted.sum() / labels.numel(), dict(avg_non_ignore=False), dict()),
        (weighted.sum() / 17, dict(), dict(avg_factor=17.0)),
        (weighted.sum(), dict(), dict(reduction_override='sum')),
    ):
        loss = SCBCELoss(class_weight=[1.0, 3.0], loss_weight=0.5, **arguments)
        actual = loss(logits, labels, weight=weight, **call)
        torch.testing.assert_close(actual, 0.5 * expected)


def test_matches_the_host_for_the_same_arguments():
    host = pytest.importorskip('mmseg.models.losses').CrossEntropyLoss
    logits, labels = batch(ignore=True)
    weight = torch.rand(labels.shape)
    for kwargs in (
        dict(),
        dict(weight=weight),
        dict(avg_factor=17.0),
        dict(reduction_override='sum'),
        dict(reduction_override='none', weight=weight),
    ):
        for avg_non_ignore in (False, True):
            args = dict(ignore_index=255, **kwargs)
            expected = host(use_sigmoid=True, avg_non_ignore=avg_non_ignore)
            actual = SCBCELoss(avg_non_ignore=avg_non_ignore)
            torch.testing.assert_close(
                actual(logits, labels, **args), expected(logits, labels, **args)
            )


@CHANNELS
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(channels, dtype):
    logits, labels = batch(channels, ignore=True)
    half = logits.to(dtype).requires_grad_()
    loss = SCBCELoss()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        actual = loss(half, labels)
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual, loss(half.float(), labels))
    actual.backward()
    assert half.grad.dtype == dtype
    assert torch.isfinite(half.grad).all()


def test_under_torch_compile():
    logits, labels = batch()
    loss, layer = SCBCELoss(), torch.nn.Conv2d(1, 1, 1)

    def train_step(x, y):
        return loss(layer(x), y)

    compiled = torch.compile(train_step, backend='eager')
    torch.testing.assert_close(compiled(logits, labels), train_step(logits, labels))


def test_bad_input_is_refused():
    logits, labels = batch()
    loss = SCBCELoss()
    with pytest.raises(ValueError, match='do not fit logits'):
        loss(logits, labels[:, 1:])
    with pytest.raises(ValueError, match='pixel_weight must be a tensor'):
        loss(logits, labels, weight=torch.ones(4, 3, 3))
    with pytest.raises(ValueError, match='avg_factor'):
        loss(logits, labels, avg_factor=2, reduction_override='sum')
    for wrong in ('2', -1):
        with pytest.raises(ValueError, match='avg_factor must be a number, at least 0'):
            loss(logits, labels, avg_factor=wrong)
    with pytest.raises(ValueError, match="take 'loss_x'"):
        SCBCELoss(loss_name='x')
    labels[0, 0, 0] = 2
    with pytest.raises(ValueError, match=r'contains 2, .*LoadBinaryAnnotations'):
        loss(logits, labels)
    managed(loss, [True, False])
    with pytest.raises(ValueError, match='the sample is for a batch of 2 images'):
        loss(*batch())


def test_is_registered_and_copies():
    loss = MODELS.build(
        dict(
            type='SCBCELoss',
            beta='SI',
            loss_name='loss_x',
            class_weight=[1, 3],
        )
    )
    assert loss.loss_name == 'loss_x'
    assert loss.class_weight.tolist() == [1.0, 3.0]
    assert not list(loss.parameters())
    assert not loss.state_dict()
    logits, labels = batch()
    torch.testing.assert_close(
        copy.deepcopy(loss)(logits, labels), loss(logits, labels)
    )


def test_losses_of_a_wrapped_model_are_found(tmp_path):
    @MODELS.register_module(force=True)
    class OwnSCBCE(SCBCELoss):
        """As a user registers one."""

    parts = [SCBCELoss('M'), torch.nn.BCEWithLogitsLoss(), OwnSCBCE()]
    model = torch.nn.ModuleList([*parts, torch.nn.Linear(1, 1)])
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/group', rank=0, world_size=1
    )
    try:
        wrapped = MMDistributedDataParallel(module=model)
        assert find_losses(wrapped) == find_losses(model) == [parts[0], parts[2]]
    finally:
        torch.distributed.destroy_process_group()


# ---- by band ----

LEVELS = torch.tensor([0.8, 0.6, 0.4, 0.2, 0.1], dtype=torch.float64)


def by_band(**options):
    loss, levels = SCBCELoss(**options), BandLevels()
    levels.levels.copy_(LEVELS)
    loss.criterion.bind(levels)
    return loss


@pytest.mark.parametrize('class_weight', [None, [0.5, 2.0]])
def test_levels_by_band_are_those_of_the_criterion(class_weight):
    logits, labels = batch(ignore=True)
    criterion = SelfCalibratingBCE(by_band().criterion.levels, reduction='none')
    expected = criterion(logits, labels)
    if class_weight:
        expected = expected * torch.where(labels == 1, 2.0, 0.5)
    expected = expected.sum() / (labels != 255).sum()
    loss = by_band(class_weight=class_weight)
    torch.testing.assert_close(loss(logits, labels), expected)
    weight = torch.ones(labels.shape)
    torch.testing.assert_close(loss(logits, labels, weight=weight), expected)


def test_points_take_the_mean_level_of_the_bands():
    logits, labels = batch(points=True)
    target = (1 - 0.42) * labels + 0.21  # no validation yet: the mean of the levels
    expected = F.binary_cross_entropy_with_logits(logits[:, 0], target)
    torch.testing.assert_close(by_band()(logits, labels), expected)
