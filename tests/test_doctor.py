"""The doctor: what it finds in an environment and in a config."""

import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmaslp import doctor
from mmaslp.checks.config import check_config
from mmaslp.checks.environment import check_environment
from mmaslp.checks.findings import Finding
from mmaslp.checks.heads import REFUSED

ONEDL = {
    'onedl-mmsegmentation': '1.4.2',
    'onedl-mmcv': '2.3.6',
    'onedl-mmengine': '0.10.12',
    'torch': '2.13.0+cpu',
    'numpy': '2.3.4',
    'setuptools': '84.2.1',
}
OPENMMLAB = {
    'mmsegmentation': '1.2.2',
    'mmcv': '2.1.0',
    'mmengine': '0.10.7',
    'torch': '2.5.1',
    'numpy': '1.26.4',
    'setuptools': '81.0.0',
    'ftfy': '6',
    'regex': '2024',
}


def levels(findings):
    return [finding.level for finding in findings]


@pytest.mark.parametrize('versions', [ONEDL, OPENMMLAB])
def test_sound_host(versions):
    findings = check_environment(versions, ops=True)
    assert levels(findings) == ['ok', 'ok']
    assert next(iter(versions)) in findings[0].message


@pytest.mark.parametrize(
    ('versions', 'changes', 'ops', 'level', 'words', 'remedy'),
    [
        ({}, {}, True, 'error', 'no host is installed', 'mmaslp[onedl]'),
        (
            ONEDL,
            {'onedl-mmcv': None},
            True,
            'error',
            'incomplete: onedl-mmcv',
            'mmaslp[onedl]',
        ),
        (
            OPENMMLAB,
            {'mmengine': None},
            True,
            'error',
            'incomplete: mmengine',
            'mmaslp[openmmlab]',
        ),
        (
            ONEDL,
            {'mmengine': '0.10.7'},
            True,
            'error',
            'over each other',
            'pip uninstall -y onedl-mmsegmentation onedl-mmcv onedl-mmengine mmengine',
        ),
        (ONEDL, {'numpy': '1.26.4'}, True, 'error', 'numpy 2', 'numpy>=2'),
        (ONEDL, {}, False, 'note', 'no compiled operators', 'mim install'),
        (OPENMMLAB, {}, False, 'error', 'no compiled operators', 'MMCV_WITH_OPS'),
        (OPENMMLAB, {'mmcv': '2.2.0'}, True, 'error', 'asserts', 'mmcv==2.1.0'),
        (OPENMMLAB, {'ftfy': None}, True, 'error', 'imports ftfy', 'install ftfy'),
        (OPENMMLAB, {'torch': '2.6.0'}, True, 'note', 'checkpoints', 'custom_imp'),
        (
            OPENMMLAB,
            {'setuptools': '82.0.0'},
            True,
            'warning',
            'pkg_resources',
            'setuptools<82',
        ),
    ],
)
def test_known_incompatibilities(versions, changes, ops, level, words, remedy):
    versions = {k: v for k, v in {**versions, **changes}.items() if v is not None}
    findings = [f for f in check_environment(versions, ops) if f.level != 'ok']
    assert levels(findings) == [level]
    assert words in findings[0].message and remedy in findings[0].remedy


def set_head(**values):
    return lambda cfg: cfg.model.decode_head.update(values)


def set_train(**values):
    return lambda cfg: cfg.train_dataloader.dataset.update(values)


def to_cascade(cfg):
    cfg.model.type = 'CascadeEncoderDecoder'
    cfg.model.decode_head = [cfg.model.decode_head, cfg.model.decode_head]


def to_k_net(cfg):
    head = dict(cfg.model.decode_head)
    cfg.model.decode_head = dict(type='IterativeDecodeHead', kernel_generate_head=head)


def no_validation(cfg):
    cfg.val_cfg = None


def ohem(cfg):
    cfg.model.decode_head.sampler = dict(type='OHEMPixelSampler', thresh=0.7)


def host_loss(cfg):
    cfg.model.decode_head.loss_decode = dict(type='CrossEntropyLoss')


def other_beta(cfg):
    cfg.model.auxiliary_head.loss_decode.beta = 'M'


def host_loader(cfg):
    pipeline = cfg.val_dataloader.dataset.pipeline
    pipeline[1] = dict(type='mmseg.LoadAnnotations')


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
        (set_head(out_channels=3), 'error', '3 channels', 'out_channels = 1'),
        (set_head(threshold=0.3), 'warning', 'above 0.3', '.threshold = 0.5'),
        (to_cascade, 'error', 'cascades', 'decode_head[0].out_channels = 2'),
        (to_k_net, 'error', 'K-Net', 'model.decode_head.out_channels = 2'),
        (set_head(type='PointHead'), 'error', 'PointRend', 'out_channels = 2'),
        (ohem, 'error', 'OHEMPixelSampler', 'min_kept'),
        (host_loss, 'error', 'no head trains with SCBCELoss', "type='SCBCELoss'"),
        (lambda c: c.pop('custom_hooks'), 'note', 'draws for itself', 'ASLPHook'),
        (
            lambda c: c.model.update(
                test_cfg=dict(mode='slide', crop_size=256, stride=170)
            ),
            'error',
            'two numbers',
            'crop_size=(256, 256), stride=(170, 170)',
        ),
        (
            set_train(reduce_zero_label=True),
            'error',
            'background',
            'train_dataloader.dataset.reduce_zero_label = False',
        ),
        (host_loader, 'warning', 'val_dataloader', 'LoadBinaryAnnotations'),
        (mosaic, 'error', 'RandomMosaic', 'remove RandomMosaic'),
        (
            lambda c: c.model.data_preprocessor.update(
                batch_augments=[dict(type='BatchCutMix')]
            ),
            'error',
            'BatchCutMix',
            'batch_augments',
        ),
        (no_validation, 'error', 'no val_cfg', 'CalibrationMetric'),
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
            'accuracy_key names an accuracy alone',
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
    assert 'no head trains with SCBCELoss, without which ASLPHook' in finding.message
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


def test_hook_refuses_them_too(toy, tmp_path):
    runner = Runner.from_cfg(toy.config(tmp_path))
    head = runner.model.decode_head
    head.__class__ = type('MaskFormerHead', (type(head),), {})
    with pytest.raises(ValueError, match='MaskFormerHead compares queries'):
        runner.train()
    assert refusal('FCNHead') is None


def test_command_line(toy, tmp_path, capsys):
    path = tmp_path / 'config.py'
    cfg = toy.config(tmp_path / 'run')
    cfg.dump(path)
    assert doctor.main([str(path)]) == 0
    out = capsys.readouterr().out
    assert f'{path} works with the plugin' in out and out.endswith('no error\n')

    assert 'test_dataloader has the images of val_dataloader' in out
    cfg.test_dataloader.dataset.data_root = str(toy.root / 'train')
    cfg.train_dataloader.dataset = dict(
        type='RepeatDataset', times=2, dataset=dict(cfg.train_dataloader.dataset)
    )
    cfg.train_dataloader.dataset.dataset.data_root = 'nowhere'
    cfg.dump(path)
    assert doctor.main([str(path)]) == 0
    out = capsys.readouterr().out
    assert 'test_dataloader has the images' not in out
    assert 'no folder nowhere here' in out
    assert 'train_dataloader.dataset.dataset.data_root' in out

    cfg.pop('custom_hooks')
    cfg.model.decode_head.out_channels = 7
    cfg.dump(path)
    assert doctor.main([str(path)]) == 1
    assert 'model.decode_head has 7 channels' in capsys.readouterr().out
    path.write_text('model = (')
    assert doctor.main([str(path)]) == 1
    assert 'cannot be read' in capsys.readouterr().out


@pytest.mark.parametrize('broken', [False, True])
def test_without_a_host(tmp_path, broken):
    """A fresh interpreter that does not see the host, or sees one that fails."""
    if broken:
        (tmp_path / 'mmseg').mkdir()
        (tmp_path / 'mmseg' / '__init__.py').write_text('assert False, "too new"')
    code = (
        'import importlib.util as u, runpy, sys\n'
        'real = u.find_spec\n'
        f'hidden = {() if broken else ("mmseg", "mmcv", "mmengine")}\n'
        'u.find_spec = lambda n, *a: None if n in hidden else real(n, *a)\n'
        'import importlib.metadata as m\n'
        'version = m.version\n'
        'def none(name):\n'
        '    if "mm" in name: raise m.PackageNotFoundError(name)\n'
        '    return version(name)\n'
        f'm.version = version if {broken} else none\n'
        'sys.argv = ["doctor"]\n'
        'runpy.run_module("mmaslp.doctor", run_name="__main__")\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    if broken:
        assert "the host cannot be imported: AssertionError('too new')" in done.stdout
        assert 'mmaslp.doctor` says what to install' in done.stderr
    else:
        assert 'no host is installed' in done.stdout
        assert 'pip install "mmaslp[onedl]"' in done.stdout


def test_level_must_be_known():
    with pytest.raises(ValueError, match='level must be one of'):
        Finding('fatal', 'x')
    assert (
        str(Finding('note', 'a', 'b\nc')) == 'note:    a\n         -> b\n         -> c'
    )


def test_configs_of_the_repository_have_no_error():
    configs = Path(doctor.__file__).parents[1] / 'configs'
    paths = [*configs.glob('aslp/*.py'), *configs.glob('demo/*aslp*.py')]
    assert len(paths) > 5
    for path in paths:
        assert {*levels(check_config(Config.fromfile(path)))} <= {'note'}, path
