import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS

from mmaslp.core import BorderLevels, Sample, SelfCalibratingBCE
from mmaslp.core.levels.counter_rng import image_keys, iteration_keys
from mmaslp.hosts.mmseg.losses import SCBCELoss


def batch(channels=1, seed=0, ignore=False, points=False):
    generator = torch.Generator().manual_seed(seed)
    space = (40,) if points else (6, 9)
    logits = 3 * torch.randn(4, channels, *space, generator=generator)
    labels = torch.randint(0, 2, (4, *space), generator=generator)
    if ignore:
        labels[torch.rand(labels.shape, generator=generator) < 0.3] = 255
    return logits, labels


def managed(loss, perturbed, alpha=0.3, iteration=0):
    """Leave a sample in a loss, as the hook does."""
    names = [str(i) for i in range(len(perturbed))]
    loss.criterion.sample = Sample(
        alpha=torch.full((len(perturbed),), alpha),
        perturbed=torch.tensor(perturbed),
        keys=iteration_keys(image_keys(names), 0, iteration),
    )
    return loss.criterion.sample


def z_of(logits):
    return logits[:, 0] if logits.size(1) == 1 else logits[:, 1] - logits[:, 0]


def reference(logits, target, labels):
    valid = labels != 255
    loss = F.binary_cross_entropy_with_logits(
        z_of(logits), target.float(), reduction='none'
    )
    return torch.where(valid, loss, 0.0), valid


@pytest.mark.parametrize('channels', [1, 2])
@pytest.mark.parametrize('points', [False, True])
@pytest.mark.parametrize('ignore', [False, True])
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


def test_two_channels_equal_softmax_cross_entropy():
    logits, labels = batch(2)
    torch.testing.assert_close(
        SCBCELoss()(logits, labels), F.cross_entropy(logits, labels)
    )


@pytest.mark.parametrize('beta', ['HI', 'SI', 'M', 0.7])
def test_the_whole_image_is_perturbed(beta):
    loss = SCBCELoss(beta=beta)
    strength = loss.perturbation.beta
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


def test_deterministic_follows_the_levels_of_the_hook():
    loss = SCBCELoss(beta='HI', deterministic=True)
    managed(loss, [True, True, False, False], alpha=0.2)
    logits, labels = batch()
    expected = F.binary_cross_entropy_with_logits(z_of(logits), 0.6 * labels + 0.2)
    torch.testing.assert_close(loss(logits, labels), expected)


def test_stochastic_loss_has_the_expectation_of_label_smoothing():
    torch.manual_seed(0)
    logits, labels = batch()
    loss = SCBCELoss(beta='SI', alpha=0.2)
    draws = torch.stack([loss(logits, labels) for _ in range(4000)])
    expected = SCBCELoss(eps=0.3)(logits, labels)
    error = draws.std() / len(draws) ** 0.5
    assert abs(draws.mean() - expected) < 4 * error
    assert len(draws.unique()) == 16  # 4 images: every subset, and nothing between


def test_disturb_label_draws_per_pixel():
    torch.manual_seed(0)
    loss = SCBCELoss(beta='HI', alpha=0.2, per_pixel=True)
    logits = torch.full((2, 1, 100, 100), 2.0)
    labels = torch.ones(2, 100, 100, dtype=torch.long)
    per_pixel = loss(logits, labels, reduction_override='none')
    flipped = per_pixel > 1
    assert abs(flipped.float().mean() - 0.2) < 0.02
    assert not torch.equal(flipped[0], flipped[1])


def test_dynamic_moderation_adds_bounded_noise_to_perturbed_images_alone():
    loss = SCBCELoss(beta='DM')
    managed(loss, [True, False, True, False])
    logits = torch.ones(4, 1, 50, 50)
    labels = torch.ones(4, 50, 50, dtype=torch.long)
    none = loss(logits, labels, reduction_override='none')
    target = F.softplus(torch.ones(())) - none  # z = 1
    torch.testing.assert_close(target[1::2], torch.ones(2, 50, 50))
    assert (target[0::2] - 0.5).abs().max() <= 0.25 + 1e-6
    assert 0.13 < target[0::2].std() < 0.16
    torch.testing.assert_close(loss(logits, labels), none.mean())  # the same noise


def test_noise_depends_on_the_iteration():
    loss = SCBCELoss(beta='DM')
    logits, labels = batch()
    values = []
    for iteration in (0, 1, 0):
        managed(loss, [True] * 4, iteration=iteration)
        values.append(loss(logits, labels).item())
    assert values[0] == values[2] != values[1]


def test_margins_are_recorded_with_the_weight_of_the_loss():
    logits, labels = batch(ignore=True)
    main, aux = SCBCELoss(), SCBCELoss(loss_weight=0.4)
    sample = managed(main, [False] * 4)
    aux.criterion.sample = sample
    main(logits, labels)
    aux(-3 * logits, labels)
    valid = labels != 255
    signed = torch.where(valid, (2 * labels - 1) * z_of(logits), 0.0)
    margin = signed.flatten(1).sum(1) / valid.flatten(1).sum(1)
    torch.testing.assert_close(sample.margin, margin * (1 - 3 * 0.4) / 1.4)


@pytest.mark.parametrize('reduction', ['none', 'mean', 'sum'])
@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('class_weight', [None, [1.0, 3.0]])
@pytest.mark.parametrize('avg_non_ignore', [False, True])
def test_reductions(reduction, weighted, class_weight, avg_non_ignore):
    logits, labels = batch(ignore=True)
    weight = torch.rand(labels.shape) if weighted else None
    loss = SCBCELoss(
        reduction=reduction,
        class_weight=class_weight,
        avg_non_ignore=avg_non_ignore,
        loss_weight=0.5,
    )
    expected, valid = reference(logits, labels.clamp_max(1), labels)
    if class_weight:
        expected = expected * torch.where(labels == 1, 3.0, 1.0)
    if weighted:
        expected = expected * weight
    if reduction == 'mean':
        expected = expected.sum() / (valid.sum() if avg_non_ignore else valid.numel())
    elif reduction == 'sum':
        expected = expected.sum()
    actual = loss(logits, labels, weight=weight)
    torch.testing.assert_close(actual, 0.5 * expected)


def test_both_paths_give_the_gradient_at_zero_logits():
    gradients = []
    labels = torch.tensor([[[0, 1], [1, 0]]])
    for kwargs in (dict(), dict(class_weight=[1.0, 1.0])):
        logits = torch.zeros(1, 1, 2, 2, requires_grad=True)
        SCBCELoss(**kwargs)(logits, labels).backward()
        gradients.append(logits.grad)
    torch.testing.assert_close(*gradients)
    assert (gradients[0].abs() == 0.125).all()


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


def test_other_ignore_index():
    logits, labels = batch()
    labels[labels == 1] = -100
    labels[:, 0] = 1
    loss = SCBCELoss(ignore_index=-100)(logits, labels)
    override = SCBCELoss()(logits, labels, ignore_index=-100)
    valid = labels != -100
    expected = F.binary_cross_entropy_with_logits(
        z_of(logits)[valid], labels[valid].float()
    )
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(override, expected)
    ones = SCBCELoss()(logits, labels.clamp_min(0), ignore_index=0)
    torch.testing.assert_close(
        ones, F.softplus(-z_of(logits)[:, 0]).mean()
    )  # ignore_index=0 leaves the pixels of class 1


def test_image_without_valid_pixels_gives_0_and_not_nan():
    logits, labels = batch()
    labels[2] = 255
    logits.requires_grad_()
    loss = SCBCELoss()
    sample = managed(loss, [True] * 4)
    loss(logits, labels).backward()
    assert torch.isfinite(logits.grad).all() and (logits.grad[2] == 0).all()
    assert sample.margin[2] == 0

    nothing = SCBCELoss()(logits, torch.full_like(labels, 255))
    assert nothing.item() == 0
    nothing.backward()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('channels', [1, 2])
def test_half_precision_logits(dtype, channels):
    logits, labels = batch(channels)
    half = logits.to(dtype).requires_grad_()
    loss = SCBCELoss()(half, labels)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, SCBCELoss()(half.float(), labels))
    loss.backward()
    assert half.grad.dtype == dtype


def test_under_cpu_autocast():
    logits, labels = batch()
    layer = torch.nn.Conv2d(1, 1, 1)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        scores = layer(logits)
        assert scores.dtype == torch.bfloat16
        loss = SCBCELoss()(scores, labels)
    loss.backward()
    assert loss.dtype == torch.float32 and layer.weight.grad is not None


@pytest.mark.parametrize(
    'dtype', [torch.uint8, torch.int32, torch.int64, torch.float32, torch.bool]
)
def test_label_dtypes(dtype):
    logits, labels = batch()
    before = labels.to(dtype)
    kept = before.clone()
    loss = SCBCELoss()(logits, before)
    torch.testing.assert_close(loss, SCBCELoss()(logits, labels))
    assert torch.equal(before, kept)  # the label is not written to


def test_label_with_a_channel_axis():
    logits, labels = batch()
    torch.testing.assert_close(
        SCBCELoss()(logits, labels.unsqueeze(1)), SCBCELoss()(logits, labels)
    )


@pytest.mark.parametrize('value', [2, -1, 254, 128])
def test_labels_outside_are_refused(value):
    logits, labels = batch()
    labels[1, 2, 3] = value
    with pytest.raises(ValueError, match=rf'\[{value}\].*LoadBinaryAnnotations'):
        SCBCELoss()(logits, labels)


@pytest.mark.parametrize('value', [0.5, float('nan')])
def test_soft_labels_are_refused(value):
    logits, labels = batch()
    labels = labels.float()
    labels[0, 0, 0] = value
    with pytest.raises(ValueError, match='label holds the values'):
        SCBCELoss()(logits, labels)


@pytest.mark.parametrize('channels', [0, 3, 19])
def test_other_channel_counts_are_refused(channels):
    with pytest.raises(ValueError, match='binary heads, set out_channels=1'):
        SCBCELoss()(torch.zeros(2, channels, 4, 4), torch.zeros(2, 4, 4).long())


@pytest.mark.parametrize(
    ('shape', 'label'), [((2, 1, 4, 4), (2, 4, 5)), ((2, 1, 4), (2, 4, 4))]
)
def test_shapes_that_do_not_fit(shape, label):
    with pytest.raises(ValueError, match='does not fit cls_score'):
        SCBCELoss()(torch.zeros(shape), torch.zeros(label).long())


def test_weight_that_does_not_fit():
    logits, labels = batch()
    with pytest.raises(ValueError, match='weight of shape'):
        SCBCELoss()(logits, labels, weight=torch.ones(4, 3, 3))


def test_another_batch_than_the_hook_drew_for():
    loss = SCBCELoss()
    managed(loss, [True, False])
    with pytest.raises(ValueError, match='the sample is for a batch of 2 images'):
        loss(*batch())


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(beta=0), 'beta'),
        (dict(beta=2.5), 'beta'),
        (dict(beta='XX'), 'HI, SI, M, DM'),
        (dict(alpha=-0.1), 'alpha must be a number'),
        (dict(alpha=0.5), 'would flip'),
        (dict(eps=1.0), 'eps'),
        (dict(eps='0.1'), 'eps must be a number in'),
        (dict(eps=0.1, alpha=0.1), 'not both'),
        (dict(eps=0.3, beta=0.2), 'eps = 0.3 is more than beta = 0.2'),
        (dict(deterministic=True, per_pixel=True), 'per_pixel'),
        (dict(reduction='avg'), 'reduction'),
        (dict(class_weight=[1.0]), 'two numbers'),
    ],
)
def test_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        SCBCELoss(**kwargs)


def test_avg_factor_with_sum():
    logits, labels = batch()
    with pytest.raises(ValueError, match='avg_factor'):
        SCBCELoss(reduction='sum')(logits, labels, avg_factor=3)


def test_class_weight_from_a_file(tmp_path):
    path = tmp_path / 'weights.npy'
    np.save(path, [1.0, 3.0])
    logits, labels = batch()
    torch.testing.assert_close(
        SCBCELoss(class_weight=str(path))(logits, labels),
        SCBCELoss(class_weight=[1.0, 3.0])(logits, labels),
    )


def test_is_registered_and_copies():
    loss = MODELS.build(dict(type='SCBCELoss', beta='SI', loss_name='loss_x'))
    assert loss.loss_name == 'loss_x' and not list(loss.parameters())
    assert 'beta=1.5' in repr(loss)
    logits, labels = batch()
    torch.testing.assert_close(
        copy.deepcopy(loss)(logits, labels), loss(logits, labels)
    )
    assert not loss.state_dict()


@pytest.mark.parametrize('beta', ['HI', 'DM'])
def test_under_torch_compile(beta):
    loss = SCBCELoss(beta=beta)
    managed(loss, [True, False, True, False])
    layer = torch.nn.Conv2d(1, 1, 1)

    def train_step(x, y):
        return loss(layer(x), y)

    logits, labels = batch()
    compiled = torch.compile(train_step, backend='eager')
    torch.testing.assert_close(compiled(logits, labels), train_step(logits, labels))


@pytest.mark.gpu
@pytest.mark.parametrize('beta', ['HI', 'DM'])
@pytest.mark.parametrize('ignore', [False, True])
def test_gpu_gives_the_figures_of_the_cpu(beta, ignore):
    loss = SCBCELoss(beta=beta)
    sample = managed(loss, [True, False, True, False])
    logits, labels = batch(ignore=ignore)
    ours = logits.cuda().requires_grad_()
    on_gpu = loss(ours, labels.cuda())
    on_gpu.backward()
    margin = sample.margin.cpu()
    sample = managed(loss, [True, False, True, False])
    theirs = logits.clone().requires_grad_()
    on_cpu = loss(theirs, labels)
    on_cpu.backward()
    torch.testing.assert_close(on_gpu.cpu(), on_cpu)
    torch.testing.assert_close(ours.grad.cpu(), theirs.grad)
    torch.testing.assert_close(margin, sample.margin)


@pytest.mark.gpu
def test_gpu_amp():
    logits, labels = batch()
    layer = torch.nn.Conv2d(1, 1, 1).cuda()
    with torch.autocast('cuda', dtype=torch.float16):
        loss = SCBCELoss()(layer(logits.cuda()), labels.cuda())
    torch.amp.GradScaler('cuda').scale(loss).backward()
    assert torch.isfinite(layer.weight.grad).all()


LEVELS = torch.tensor([0.8, 0.6, 0.4, 0.2, 0.1], dtype=torch.float64)


def by_band(**options):
    loss, levels = SCBCELoss(**options), BorderLevels()
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


def test_sigmoid_channels_take_classes_or_maps():
    logits = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    classes = torch.randint(0, 3, (2, 8, 8), generator=torch.Generator().manual_seed(1))
    classes[0, 0] = 255
    maps = torch.stack([(classes == c).long() for c in range(3)], 1)
    maps = maps.masked_fill((classes == 255).unsqueeze(1), 255)
    loss = by_band(channels='independent')
    one = by_band()
    sums = sum(
        one(logits[:, c : c + 1], maps[:, c], reduction_override='sum')
        for c in range(3)
    )
    expected = sums / (maps != 255).sum()
    torch.testing.assert_close(loss(logits, classes), expected)
    torch.testing.assert_close(loss(logits, maps), expected)
    weight = torch.ones(2, 8, 8)
    torch.testing.assert_close(loss(logits, classes, weight=weight), expected)
    with pytest.raises(ValueError, match=r'values \[3\], only classes 0 to 2'):
        loss(logits, classes.masked_fill(classes == 1, 3))
    with pytest.raises(ValueError, match='do not fit logits'):
        loss(logits, maps[:, :2])
