"""Types and arguments; tests/hostile/test_silent.py has wrong ones of each part."""

from mmengine.config import Config

import mmaslp  # noqa: F401
from mmaslp.hosts.mmseg.checks.arguments import check_parts, only_one


def found(cfg, *splits):
    return [str(f.exception()) for f in check_parts(Config(cfg), splits or ('train',))]


def test_nested_parts_are_reached():
    head = dict(type='FCNHead', loss_decode=[dict(type='SCBCELoss', beta=5)])
    cfg = dict(
        model=dict(type='EncoderDecoder', auxiliary_head=[head, head]),
        train_dataloader=dict(
            dataset=dict(
                type='RepeatDataset',
                dataset=dict(
                    type='SODDataset',
                    split=3,
                    pipeline=[
                        dict(
                            type='RandomChoice',
                            transforms=[[dict(type='RandomCenterCrop', border=0)]],
                        )
                    ],
                ),
            )
        ),
    )
    loss, other, dataset, crop = found(cfg)
    assert loss.startswith('model.auxiliary_head[0].loss_decode[0] (SCBCELoss): beta')
    assert other.startswith('model.auxiliary_head[1]')
    assert dataset.startswith('train_dataloader.dataset.dataset (SODDataset): split')
    assert 'dataset.pipeline (RandomCenterCrop): border' in crop
    assert len(found(cfg, 'val')) == 2


def test_unknown_types_name_the_nearest():
    cfg = dict(default_hooks=dict(logger=dict(type='LogerHook'), timer=None))
    (message,) = found(cfg)
    assert "default_hooks.logger: there is no type 'LogerHook' in HOOKS" in message
    assert message.endswith("default_hooks.logger.type = 'LoggerHook'")
    (message,) = found(dict(model=dict(type='Zzz')))
    assert 'custom_imports' in message


def test_only_one():
    assert only_one('ASLPHook', 1) is None
    assert only_one('ASLPHook', 3).level == 'error'
