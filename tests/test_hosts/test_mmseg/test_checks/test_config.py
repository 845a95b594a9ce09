"""What is found in a config."""

from pathlib import Path

import pytest
from mmengine.config import Config

import mmaslp
from mmaslp.hosts.mmseg.checks.config import check_config, check_data
from mmaslp.hosts.mmseg.checks.heads import REFUSED
from mmaslp.hosts.mmseg.hooks import ASLPHook


def levels(findings):
    return [finding.level for finding in findings]


def no_validation(cfg):
    cfg.val_cfg = None


def host_loss(cfg):
    cfg.model.decode_head.loss_decode = dict(type='CrossEntropyLoss')


def other_beta(cfg):
    cfg.model.auxiliary_head.loss_decode.beta = 'M'


def mosaic(cfg):
    cfg.train_dataloader.dataset = dict(
        type='MultiImageMixDataset',
        dataset=cfg.train_dataloader.dataset,
        pipeline=[
            dict(type='RandomApply', transforms=[dict(type='RandomMosaic', prob=1)])
        ],
    )


@pytest.mark.parametrize(
    ('change', 'level', 'words', 'remedy'),
    [
        (lambda c: c.pop('custom_imports'), 'error', 'does not import', "['mmaslp']"),
        (host_loss, 'error', 'ASLPHook found no SCBCELoss', "type='SCBCELoss'"),
        (lambda c: c.pop('custom_hooks'), 'note', 'draws for itself', 'ASLPHook'),
        (
            lambda c: c.model.update(
                test_cfg=dict(mode='slide', crop_size=256, stride=170)
            ),
            'error',
            'two numbers',
            'crop_size=(256, 256), stride=(170, 170)',
        ),
        (mosaic, 'error', 'RandomMosaic', 'remove RandomMosaic'),
        (
            lambda c: c.model.data_preprocessor.update(
                batch_augments=[dict(type='BatchCutMix')]
            ),
            'error',
            'BatchCutMix',
            'batch_augments',
        ),
        (no_validation, 'error', 'no val_cfg', "val_cfg = dict(type='ValLoop')"),
        (
            lambda c: c.pop('val_evaluator'),
            'error',
            'no val_evaluator',
            'CalibrationMetric',
        ),
        (
            lambda c: c.update(val_evaluator=dict(type='IoUMetric')),
            'error',
            'pixel accuracy',
            'val_evaluator',
        ),
        (
            lambda c: c.default_hooks.checkpoint.update(save_best='calib/ece'),
            'error',
            'calib/ece is better',
            "rule = 'less'",
        ),
        (
            lambda c: (
                c.default_hooks.checkpoint.update(save_best='auto'),
                c.update(val_evaluator=[dict(type='mmseg.CalibrationMetric')]),
            ),
            'error',
            'calib/ece is better',
            "rule = 'less'",
        ),
        (
            lambda c: c.update(
                val_evaluator=dict(type='CalibrationMetric', mode='positive')
            ),
            'error',
            "mode='top_label' and protocol='raw'",
            'val_evaluator',
        ),
        (
            lambda c: c.custom_hooks[0].update(rule='FB', accuracy_key='aAcc'),
            'error',
            "accuracy_key='aAcc' names an accuracy alone",
            'without accuracy_key',
        ),
        (
            lambda c: (mosaic(c), c.custom_hooks[0].update(rule='fixed')),
            'error',
            'RandomMosaic',
            'remove RandomMosaic',
        ),
        (
            lambda c: c.update(tta_model=dict(type='SegTTAModel')),
            'warning',
            'sigmoid twice',
            "tta_model.type = 'BinarySegTTAModel'",
        ),
    ],
)
def test_findings_name_the_line_to_change(toy, tmp_path, change, level, words, remedy):
    cfg = toy.config(tmp_path)
    assert levels(check_config(cfg)) == ['note']  # acc_seg, of one channel
    change(cfg)
    findings = [f for f in check_config(cfg) if 'acc_seg' not in f.message]
    assert {level} == {*levels(findings)}
    assert words in findings[0].message and remedy in findings[0].remedy


def test_two_channels_and_different_perturbations(toy, tmp_path):
    cfg = toy.config(tmp_path, channels=2)
    assert check_config(cfg) == []
    cfg = toy.config(tmp_path, auxiliary=True)
    other_beta(cfg)
    assert any('same beta in every head' in f.message for f in check_config(cfg))
    cfg = toy.config(tmp_path, auxiliary=True)
    cfg.model.auxiliary_head.loss_decode.type = 'DiceLoss'
    assert any('trains with DiceLoss too' in f.message for f in check_config(cfg))


@pytest.mark.parametrize('kind', ['BrierLoss', 'NACLLoss'])
def test_other_losses_of_binary_heads(toy, tmp_path, kind):
    cfg = toy.config(tmp_path)
    cfg.model.decode_head.loss_decode = dict(type=kind)
    (finding,) = (f for f in check_config(cfg) if f.level == 'error')
    assert 'found no SCBCELoss in the model, without which' in finding.message
    cfg.pop('custom_hooks')
    assert levels(check_config(cfg)) == ['note']  # acc_seg, of one channel
    cfg.model.decode_head.out_channels = 3
    (finding,) = check_config(cfg)
    assert f'3 channels, and {kind} is for binary heads' in finding.message


@pytest.mark.parametrize('name', sorted(REFUSED))
def test_refused_heads(toy, tmp_path, name):
    cfg = toy.config(tmp_path)
    part = cfg.model.decode_head if name.endswith('Head') else cfg.model
    part.type = f'mmseg.{name}'
    (finding,) = check_config(cfg)
    assert finding.level == 'error' and finding.message.count(name) == 1


def test_configs_of_the_repository_have_no_error():
    configs = Path(mmaslp.__file__).parents[1] / 'configs'
    paths = [*configs.glob('aslp/*.py'), *configs.glob('demo/*aslp*.py')]
    assert len(paths) > 5
    for path in paths:
        assert {*levels(check_config(Config.fromfile(path)))} <= {'note'}, path


def rules():
    fixed = ('fixed', dict(type='fixed'))
    return [(rule, rule not in fixed) for rule in ('FB', 'MC', dict(type='ME'), *fixed)]


@pytest.mark.parametrize(('rule', 'learns'), rules())
def test_rules_that_learn_need_a_validation(toy, tmp_path, rule, learns):
    cfg = toy.config(tmp_path)
    cfg.custom_hooks[0].rule = rule
    assert learns == any('steer the levels' in f.message for f in check_data(cfg))
    no_validation(cfg)
    assert learns == any('no val_cfg' in f.message for f in check_config(cfg))


def test_feedback_is_the_default_and_needs_the_confidence(toy, tmp_path):
    cfg = toy.config(tmp_path)
    cfg.custom_hooks = [dict(type='ASLPHook', accuracy_key='aAcc', warmup_epochs=1)]
    for rule in (None, dict(type='FB', gain=2.0)):
        if rule is not None:
            cfg.custom_hooks[0].rule = rule
        assert any('needs the confidence' in f.message for f in check_config(cfg))
    cfg.custom_hooks[0].rule = 'MC'
    assert levels(check_config(cfg)) == ['note']
    cfg.pop('custom_hooks')
    (note,) = (f for f in check_config(cfg) if 'draws for itself' in f.message)
    assert note.remedy == "custom_hooks = [dict(type='ASLPHook', rule='FB')]"


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(rule='FBX'), "got 'FBX'"),
        (dict(rule='MC', regions='border'), 'needs a rule that moves levels by region'),
        (dict(regions='boarder'), "regions must be 'border' or None"),
        (dict(rule='FB', lam=500), "'FB' has no option 'lam': it takes gain"),
        (dict(gain=-1), 'gain must be a number above 0'),
        (dict(warmup_epochs=-2), 'warmup_epochs must be a number of at least 0'),
    ],
)
def test_arguments_that_the_hook_refuses(toy, tmp_path, options, words):
    cfg = toy.config(tmp_path)
    cfg.custom_hooks = [dict(type='ASLPHook', **options)]
    with pytest.raises(ValueError) as refused:
        ASLPHook(**options)
    (finding,) = [
        f for f in check_config(cfg) if 'custom_hooks[0] (ASLPHook)' in f.message
    ]
    assert finding.level == 'error' and words in finding.message
    assert str(refused.value) in finding.message


def test_unknown_perturbation(toy, tmp_path):
    cfg = toy.config(tmp_path)
    cfg.model.decode_head.loss_decode.beta = 'XX'
    (finding,) = (f for f in check_config(cfg) if f.level == 'error')
    assert "beta='XX' is no known perturbation" in finding.message
    assert finding.remedy == 'model.decode_head.loss_decode: mend SCBCELoss'


def test_preprocessor_beside_the_model(toy, tmp_path):
    cfg = toy.config(tmp_path)
    cfg.data_preprocessor = cfg.model.pop('data_preprocessor')
    cfg.data_preprocessor.batch_augments = [dict(type='BatchMixUp')]
    assert any('holds BatchMixUp' in f.message for f in check_config(cfg))
