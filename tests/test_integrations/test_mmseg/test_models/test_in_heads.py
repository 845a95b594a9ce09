"""Real trainings: by config alone, and one draw per image, whatever head calls.

What was drawn is read from the values that the losses return, not from the hook.
"""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmaslp import SCBCELoss


class Calls(Hook):
    """Finds for every call of a loss which images it had perturbed (beta 2)."""

    priority = 'VERY_LOW'

    def __init__(self):
        self.steps = []

    def before_train(self, runner):
        for module in runner.model.modules():
            if isinstance(module, SCBCELoss):
                module.register_forward_hook(self.after_loss, with_kwargs=True)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.steps.append(dict(calls=[]))

    def after_loss(self, loss, args, kwargs, output):
        logits, labels = args[0].detach().double(), args[1]
        z = logits[:, 0] if logits.size(1) == 1 else logits[:, 1] - logits[:, 0]
        y = labels.reshape(z.shape).double()
        plain = F.binary_cross_entropy_with_logits(z, y, reduction='none').flatten(1)
        flipped = F.binary_cross_entropy_with_logits(z, 1 - y, reduction='none')
        flipped = flipped.flatten(1)
        weight = kwargs.get('weight')
        weight = torch.ones_like(plain) if weight is None else weight.flatten(1)
        found = []
        for drawn in np.ndindex(2, 2):
            drawn = torch.tensor(drawn, dtype=torch.bool)[: len(z), None]
            chosen = torch.where(drawn, flipped, plain) * weight
            expected = chosen if output.dim() else chosen.mean()
            got = output.double().reshape(expected.shape)
            if torch.allclose(loss.loss_weight * expected, got, rtol=2e-6, atol=1e-7):
                found.append(tuple(drawn.flatten().tolist()))
        self.steps[-1]['calls'].append(found)


def train(cfg):
    cfg.custom_hooks = [dict(type='ASLPHook', levels='image', rule='fixed', alpha=0.4)]
    # Only that training is the matter; a cascade of one channel has no prediction.
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    runner = Runner.from_cfg(cfg)
    calls = Calls()
    runner.register_hook(calls)
    runner.train()
    return calls.steps


def assert_one_draw(steps, num_calls):
    told = []
    for step in steps:
        assert len(step['calls']) == num_calls
        common = set(step['calls'][0]).intersection(*step['calls'][1:])
        assert common, step['calls']
        # Now and then two draws give the same mean to all digits: masks of one size.
        if len(common) == 1:
            told += common
    assert len(told) > len(steps) / 2
    assert len(set(told)) > 1  # not the same draw for ever


def plain_head(toy, channels, index=1, **values):
    head = toy.head(channels, index)
    head.update(values)
    return head


def cascade(cfg, heads):
    cfg.model.update(
        type='CascadeEncoderDecoder', num_stages=len(heads), decode_head=heads
    )
    return cfg


def test_auxiliary_heads(toy, tmp_path):
    cfg = toy.config(tmp_path)
    cfg.model.auxiliary_head = [
        plain_head(toy, 1, 0),
        plain_head(toy, 1, 0),
    ]
    assert_one_draw(train(cfg), 3)


def test_cascade_of_ocr(toy, tmp_path):
    ocr = plain_head(toy, 2, type='OCRHead', ocr_channels=4)
    del ocr['num_convs'], ocr['concat_input']
    cfg = toy.config(tmp_path, channels=2, auxiliary=False)
    steps = train(cascade(cfg, [plain_head(toy, 2), ocr]))
    assert_one_draw(steps, 2)


@pytest.mark.skipif(
    find_spec('mmcv') is None or find_spec('mmcv._ext') is None,
    reason="needs mmcv's compiled operators",
)
def test_cascade_of_point_rend(toy, tmp_path):
    # Of one channel the host cannot take the two best.
    point = dict(
        plain_head(toy, 2),
        type='PointHead',
        in_channels=[4],
        in_index=[1],
        num_fcs=1,
    )
    del point['num_convs'], point['concat_input'], point['norm_cfg']
    cfg = cascade(toy.config(tmp_path, channels=2), [plain_head(toy, 2), point])
    cfg.model.train_cfg = dict(
        num_points=64, oversample_ratio=3, importance_sample_ratio=0.75
    )
    assert_one_draw(train(cfg), 2)


def test_without_a_hook_every_call_draws(toy, tmp_path):
    cfg = toy.config(tmp_path)
    cfg.model.auxiliary_head = plain_head(toy, 1, 0)
    for head in (cfg.model.decode_head, cfg.model.auxiliary_head):
        head.loss_decode.update(alpha=0.4)
    cfg.custom_hooks = []
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    runner = Runner.from_cfg(cfg)
    calls = Calls()
    runner.register_hook(calls)
    runner.train()
    assert any(step['calls'][0] != step['calls'][1] for step in calls.steps)


@pytest.mark.parametrize('loss', [dict(eps=0.1), dict(alpha=0.05, per_pixel=True)])
def test_a_config_without_hook_and_validation_trains(toy, tmp_path, loss):
    cfg = toy.config(tmp_path, channels=2, auxiliary=True, custom_hooks=[])
    cfg.optim_wrapper.optimizer.lr = 0.01
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    for head in (cfg.model.decode_head, cfg.model.auxiliary_head):
        head.loss_decode.update(loss)
    runner = Runner.from_cfg(cfg)
    values = []
    runner.model.decode_head.loss_decode.register_forward_hook(
        lambda _, args, output: values.append(output.item())
    )
    before = [p.clone() for p in runner.model.parameters()]
    runner.train()
    assert not any(map(torch.equal, before, runner.model.parameters()))
    assert len(values) == 15
    assert sum(values[-5:]) < sum(values[:5])


def test_ohem_asks_for_the_loss_of_every_pixel(toy, tmp_path):
    cfg = toy.config(tmp_path, by_epoch=False, channels=2, custom_hooks=[])
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=1)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.model.decode_head.sampler = dict(type='OHEMPixelSampler', min_kept=100)
    runner = Runner.from_cfg(cfg)
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
