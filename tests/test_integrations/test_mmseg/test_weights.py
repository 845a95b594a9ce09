"""Which weights fit a model."""

import re
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmaslp.integrations.mmseg.checkpoint import WeightsHook, load_weights
from mmaslp.integrations.mmseg.models.segmentors import BinarySegTTAModel


def test_what_fits_is_loaded():
    one, other = nn.Linear(2, 1), nn.Linear(2, 1)
    assert not load_weights(one, other.state_dict())
    assert one.weight.equal(other.weight)
    tta = BinarySegTTAModel.__new__(BinarySegTTAModel)
    nn.Module.__init__(tta)
    tta.module = one
    assert not load_weights(tta, other.state_dict())


def test_the_hook_refuses():
    runner = SimpleNamespace(model=nn.Linear(2, 1), cfg={}, _resume=False)
    runner.work_dir = '.'
    runner.max_iters = 9
    hook = WeightsHook()
    hook.after_load_checkpoint(runner, nn.Linear(2, 1).state_dict())
    with pytest.raises(ValueError, match=r'does not fit .*2 missing .*\(weight, bias'):
        hook.after_load_checkpoint(runner, {})
    with pytest.raises(ValueError, match='does not fit'):
        hook.after_load_checkpoint(runner, {'state_dict': 5})
    runner._resume = True
    whole = dict(
        state_dict=runner.model.state_dict(),
        meta=dict(epoch=1, iter=2),
        message_hub={},
        optimizer={},
    )
    hook.after_load_checkpoint(runner, whole)
    damaged = [dict(whole, meta=meta) for meta in ({}, {'epoch': 1, 'iter': '2'}, [])]
    damaged.append(dict(whole, optimizer=[1]))
    for part in ('meta', 'message_hub', 'optimizer'):
        damaged.append({key: whole[key] for key in whole if key != part})
    for checkpoint in damaged:
        with pytest.raises(ValueError, match='lacks the state of the optimizer, or'):
            hook.after_load_checkpoint(runner, checkpoint)

    adam = torch.optim.Adam(runner.model.parameters())
    whole['optimizer'] = adam.state_dict()
    runner.optim_wrapper = SimpleNamespace(optimizer=adam)
    hook.after_load_checkpoint(runner, whole)
    with pytest.raises(ValueError, match='has the state of another optimizer'):
        hook.after_load_checkpoint(runner, dict(whole, optimizer={'param_groups': 'x'}))
    sgd = torch.optim.SGD(runner.model.parameters(), momentum=0.9)
    runner.optim_wrapper = SimpleNamespace(optimizer=sgd)
    with pytest.raises(ValueError, match='has the state of another optimizer'):
        hook.after_load_checkpoint(runner, whole)


def net(width=4, channels=1, depth=1):
    model = nn.Module()
    layers = [nn.Conv2d(3, width, 1), nn.BatchNorm2d(width)]
    layers += [nn.Conv2d(width, width, 1) for _ in range(depth - 1)]
    model.backbone = nn.Sequential(*layers)
    model.decode_head = nn.Conv2d(width, channels, 1)
    model.auxiliary_head = nn.Conv2d(width, channels, 1)
    return model


def renamed(old, new):
    return {
        key.replace(old, new, 1): value for key, value in net().state_dict().items()
    }


MISFITS = {
    'another width': (net(8).state_dict(), r'another shape \(backbone.0.weight'),
    'two channels for one': (
        net(channels=2).state_dict(),
        '2 missing .*decode_head.weight',
    ),
    'alien keys': ({'stem.weight': torch.zeros(1)}, 'missing'),
    'another layout': ({'model': net().state_dict()}, '8 missing'),
    'a part only': (renamed('decode_head', 'head'), '2 missing .*2 unknown'),
    'a deeper network': (net(depth=2).state_dict(), '2 unknown .*backbone.2.weight'),
    'nothing': ({}, 'missing'),
}


@pytest.mark.parametrize('case', MISFITS)
def test_weights_that_do_not_fit(case):
    state, words = MISFITS[case]
    for content in (state, {'state_dict': state, 'meta': {}}):
        assert re.search(words, load_weights(net(), content))


def test_weights_that_fit():
    own = net().state_dict()
    for content in (
        own,
        {'state_dict': own, 'ema_state_dict': {}},
        {f'module.{k}': v for k, v in own.items()},
        {k: v for k, v in own.items() if 'num_batches_tracked' not in k},
        {k: v for k, v in own.items() if 'auxiliary' not in k},
        {**own, 'decode_head.loss_decode.x': own['decode_head.bias']},
    ):
        assert not load_weights(net(), content)
