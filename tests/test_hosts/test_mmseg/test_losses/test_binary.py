"""What all losses of binary heads have in common, and that every method trains."""

import math

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import MODELS

from mmaslp.core.levels.inputs import binary_logits
from mmaslp.hosts.mmseg.losses import BinaryLoss

FIXED = dict(type='ASLPHook', levels='image', rule='fixed')
# Arguments of the loss, and the hook.
METHODS = {
    'bce': ({}, None),
    'label smoothing': (dict(eps=0.1), None),
    'disturblabel': (dict(alpha=0.05, per_pixel=True), FIXED),
    'slp': (dict(beta='M', alpha=0.05), FIXED),
    'aslp': ({}, dict(type='ASLPHook', levels='image', rule='MC')),
}


@MODELS.register_module(force=True)
class SquaredError(BinaryLoss):
    """A loss as a user would add one."""

    def pixel_loss(self, scores, labels, valid):
        return (binary_logits(scores).sigmoid() - labels) ** 2


LOSSES = [dict(type='SquaredError')]
EACH = pytest.mark.parametrize(
    'cfg', LOSSES, ids=lambda cfg: '-'.join(map(str, cfg.values()))
)
CHANNELS = pytest.mark.parametrize('channels', [1, 2])


@EACH
@CHANNELS
@pytest.mark.parametrize('ignore', [False, True])
def test_gradient(batch, cfg, channels, ignore):
    logits, labels = batch(channels, ignore, dtype=torch.float64)
    logits = logits[:2, :, :4, :4].clone().requires_grad_()
    labels = labels[:2, :4, :4]
    loss = MODELS.build(dict(cfg, class_weight=[1.0, 2.0]))
    assert loss(logits, labels).dtype == torch.float64
    assert torch.autograd.gradcheck(loss, (logits, labels))


@EACH
@CHANNELS
def test_ignored_pixels_have_no_effect(batch, cfg, channels):
    logits, labels = batch(channels, ignore=True)
    loss = MODELS.build(cfg)
    invalid = (labels == 255).unsqueeze(1)
    expected = loss(logits, labels)
    broken = logits.masked_fill(invalid, float('nan')).requires_grad_()
    actual = loss(broken, labels)
    torch.testing.assert_close(actual, expected)
    actual.backward()
    assert (broken.grad[invalid.expand_as(broken)] == 0).all()
    assert torch.isfinite(broken.grad).all() and broken.grad.abs().sum() > 0
    weight = torch.ones(labels.shape).masked_fill(labels == 255, math.inf)
    broken.grad = None
    actual = loss(broken, labels, weight=weight)
    torch.testing.assert_close(actual, expected)
    actual.backward()
    assert torch.isfinite(broken.grad).all() and broken.grad.abs().sum() > 0
    none = loss(broken, labels, reduction_override='none')
    assert none.shape == labels.shape and (none[labels == 255] == 0).all()


@EACH
@CHANNELS
def test_weights_and_reductions(batch, cfg, channels):
    logits, labels = batch(channels, ignore=True)
    per_pixel = MODELS.build(cfg)(logits, labels, reduction_override='none')
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
        loss = MODELS.build(
            dict(cfg, class_weight=[1.0, 3.0], loss_weight=0.5, **arguments)
        )
        actual = loss(logits, labels, weight=weight, **call)
        torch.testing.assert_close(actual, 0.5 * expected)


@EACH
@CHANNELS
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(batch, cfg, channels, dtype):
    logits, labels = batch(channels, ignore=True)
    half = logits.to(dtype).requires_grad_()
    loss = MODELS.build(cfg)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        actual = loss(half, labels)
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual, loss(half.float(), labels))
    actual.backward()
    assert half.grad.dtype == dtype and torch.isfinite(half.grad).all()


@EACH
def test_under_torch_compile(batch, cfg):
    logits, labels = batch()
    loss = MODELS.build(cfg)
    layer = torch.nn.Conv2d(1, 1, 1)

    def train_step(x, y):
        return loss(layer(x), y)

    compiled = torch.compile(train_step, backend='eager')
    torch.testing.assert_close(compiled(logits, labels), train_step(logits, labels))


@EACH
def test_bad_input_is_refused(batch, cfg):
    logits, labels = batch()
    loss = MODELS.build(cfg)
    with pytest.raises(ValueError, match='does not fit cls_score'):
        loss(logits, labels[:, 1:])
    with pytest.raises(ValueError, match='weight of shape'):
        loss(logits, labels, weight=torch.ones(4, 3, 3))
    with pytest.raises(ValueError, match='avg_factor'):
        loss(logits, labels, avg_factor=2, reduction_override='sum')
    labels[0, 0, 0] = 2
    with pytest.raises(ValueError, match=r'\[2\].*LoadBinaryAnnotations'):
        loss(logits, labels)


class Losses(Hook):
    """Keeps what every iteration reports."""

    def __init__(self):
        self.logs = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.logs.append({key: value.item() for key, value in outputs.items()})


# Every second method on a head of two channels.
@pytest.mark.parametrize(
    ('name', 'channels'),
    [(name, 1 + i % 2) for i, name in enumerate(METHODS)],
)
def test_every_method_trains_by_config_alone(toy, tmp_path, name, channels):
    loss, hook = METHODS[name]
    cfg = toy.config(tmp_path, channels=channels, auxiliary=True)
    cfg.optim_wrapper.optimizer.lr = 0.01
    cfg.default_hooks.checkpoint.interval = -1
    cfg.custom_hooks = []
    if hook:
        cfg.custom_hooks.append(dict(hook))
    else:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    for head in (cfg.model.decode_head, cfg.model.auxiliary_head):
        head.loss_decode = dict(type='SCBCELoss', **loss)
    runner = Runner.from_cfg(cfg)
    losses = Losses()
    runner.register_hook(losses)
    before = [p.clone() for p in runner.model.parameters()]
    runner.train()
    assert all(
        not torch.equal(*pair) for pair in zip(before, runner.model.parameters())
    )
    key = f'decode.{runner.model.decode_head.loss_decode.loss_name}'
    values = [log[key] for log in losses.logs]
    assert len(values) == 15 and min(values) > 0
    if hook is None:  # a draw moves the loss of so few images
        assert sum(values[-5:]) < sum(values[:5])


@EACH
@CHANNELS
def test_ohem_asks_for_the_loss_of_every_pixel(toy, tmp_path, cfg, channels):
    config = toy.config(tmp_path, by_epoch=False, channels=channels)
    config.train_cfg = dict(type='IterBasedTrainLoop', max_iters=1)
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    config.custom_hooks = []
    config.model.decode_head.update(
        loss_decode=dict(cfg), sampler=dict(type='OHEMPixelSampler', min_kept=100)
    )
    runner = Runner.from_cfg(config)
    calls = []
    runner.model.decode_head.loss_decode.register_forward_hook(
        lambda _, args, kwargs, output: calls.append((kwargs, output.detach())),
        with_kwargs=True,
    )
    runner.train()
    (_, per_pixel), (kwargs, loss) = calls
    weight = kwargs['weight']
    assert weight.sum() == 200  # 100 of each of the two images
    assert per_pixel[weight == 1].min() >= per_pixel[weight == 0].max()
    torch.testing.assert_close(loss, (per_pixel * weight).sum() / weight.numel())
