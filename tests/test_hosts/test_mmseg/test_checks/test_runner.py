"""The hook refuses what the doctor refuses, in the same words."""

import pytest
from mmengine.runner import Runner
from mmseg.registry import METRICS, MODELS, TRANSFORMS

from mmaslp.hosts.mmseg.checks.config import check_config
from mmaslp.hosts.mmseg.checks.runner import check_losses, check_model, metric_keys
from mmaslp.hosts.mmseg.metrics import CalibrationMetric
from mmaslp.hosts.mmseg.models import SCBCELoss


@TRANSFORMS.register_module(force=True)
class Collage:
    """Mixes images under a name that does not say so."""

    def __call__(self, results):
        return results

    def get_indices(self, dataset):
        return []


@METRICS.register_module(force=True)
class DerivedMetric(CalibrationMetric):
    pass


@MODELS.register_module(force=True)
class DerivedLoss(SCBCELoss):
    pass


def betas(decode, auxiliary):
    def change(cfg):
        cfg.model.decode_head.loss_decode.beta = decode
        cfg.model.auxiliary_head.loss_decode.beta = auxiliary

    return change


def hook(**values):
    return lambda cfg: cfg.custom_hooks[0].update(values)


def losses(kind):
    def change(cfg):
        for head in (cfg.model.decode_head, cfg.model.auxiliary_head):
            head.loss_decode = dict(type=kind)

    return change


def mixed(step, rule='MC'):
    def change(cfg):
        cfg.custom_hooks[0].rule = rule
        cfg.train_dataloader.dataset = dict(
            type='MultiImageMixDataset',
            dataset=cfg.train_dataloader.dataset,
            pipeline=[step],
        )

    return change


def evaluator(*metrics):
    return lambda cfg: cfg.update(val_evaluator=list(metrics))


def no_validation(rule):
    def change(cfg):
        cfg.custom_hooks[0].rule = rule
        cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None

    return change


def foreign_accuracy(rule):
    def change(cfg):
        cfg.custom_hooks[0].update(rule=rule, accuracy_key='aAcc')
        cfg.val_evaluator = [dict(type='IoUMetric')]

    return change


def batch_augments(cfg):
    augments = [dict(type='BatchCutMix')]
    cfg.model.data_preprocessor.batch_augments = augments


MOSAIC = dict(type='RandomMosaic', prob=1, img_scale=(16, 16))
CASES = {
    'as it is': (hook(), None),
    'one strength, by name and number': (betas('HI', 2.0), None),
    'one strength, noise in one head': (betas('M', 'DM'), None),
    'one strength, three names of it': (betas('DM', 1), None),
    'other strength': (betas('HI', 'M'), 'different strengths beta (1, 2)'),
    'other strength, fixed': (
        lambda cfg: (betas('SI', 'HI')(cfg), hook(rule='fixed')(cfg)),
        'different strengths beta (1.5, 2)',
    ),
    'loss of the host': (losses('CrossEntropyLoss'), 'found no SCBCELoss'),
    'other binary loss': (losses('BrierLoss'), 'found no SCBCELoss'),
    'derived loss': (losses('DerivedLoss'), None),
    'mosaic': (mixed(MOSAIC), 'RandomMosaic, which makes one image of several'),
    'mosaic in a transform': (
        mixed(dict(type='RandomApply', transforms=[MOSAIC], prob=0.5)),
        'RandomMosaic, which makes one image of several',
    ),
    'mosaic, fixed': (mixed(MOSAIC, 'fixed'), 'RandomMosaic, which makes one image'),
    'unknown mixture': (mixed(dict(type='Collage')), 'Collage, which makes one image'),
    'mixed batches': (batch_augments, 'BatchCutMix, which makes one image'),
    'no validation': (no_validation('MC'), 'no val_dataloader, val_cfg, val_evaluator'),
    'no validation, FB': (no_validation('FB'), 'no val_dataloader'),
    'no validation, fixed': (no_validation('fixed'), None),
    'no accuracy': (evaluator(dict(type='IoUMetric')), "['IoUMetric'] gives"),
    'no plain accuracy': (
        evaluator(dict(type='CalibrationMetric', mode='positive')),
        "[CalibrationMetric(mode='positive', protocol='raw')] gives",
    ),
    'derived metric': (evaluator(dict(type='DerivedMetric', prefix='mine')), None),
    'evaluator of the host': (
        lambda cfg: cfg.update(
            val_evaluator=dict(metrics=[dict(type='CalibrationMetric')])
        ),
        None,
    ),
    'accuracy of another metric': (foreign_accuracy('MC'), None),
    'accuracy of another metric, FB': (foreign_accuracy('FB'), 'needs the confidence'),
}


def refused_by_runner(runner):
    try:
        runner.train()
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize('case', CASES)
def test_doctor_and_hook_agree(toy, tmp_path, case):
    change, words = CASES[case]
    cfg = toy.config(
        tmp_path,
        auxiliary=True,
        custom_hooks=[dict(type='ASLPHook', rule='MC', warmup_epochs=0)],
        train_cfg=dict(max_epochs=1),
    )
    change(cfg)
    errors = [finding for finding in check_config(cfg) if finding.level == 'error']
    message = refused_by_runner(Runner.from_cfg(cfg))
    if words is None:
        assert errors == [] and message is None
        return
    (finding,) = errors
    assert words in finding.message
    assert message.startswith(finding.message)
    if 'strength' not in case:  # the losses do not know where they stand
        assert message == str(finding.exception())


@pytest.mark.parametrize('auxiliary', [False, True])
def test_doctor_and_hook_agree_on_refused_heads(toy, tmp_path, auxiliary):
    cfg = toy.config(tmp_path, auxiliary=True)
    cfg.model.auxiliary_head = [cfg.model.auxiliary_head]
    runner = Runner.from_cfg(cfg)
    if auxiliary:
        head, part = runner.model.auxiliary_head[0], cfg.model.auxiliary_head[0]
    else:
        head, part = runner.model.decode_head, cfg.model.decode_head
    head.__class__ = type('MaskFormerHead', (type(head),), {})
    part.type = 'MaskFormerHead'
    (finding,) = check_config(cfg)
    assert 'MaskFormerHead compares queries' in finding.message
    assert refused_by_runner(runner) == str(finding.exception())
    assert ('auxiliary_head[0]' in finding.remedy) is auxiliary


def test_what_the_hook_gets(toy, tmp_path):
    runner = Runner.from_cfg(toy.config(tmp_path))
    check_model(runner.model)
    assert check_losses([SCBCELoss(beta='SI'), SCBCELoss(beta=1.5)]) == 1.5
    assert metric_keys(runner, 'aAcc', False) == {'accuracy': 'aAcc'}
    assert metric_keys(runner, None, True) == {
        'accuracy': 'calib/acc',
        'confidence': 'calib/conf',
        'median_gap': 'calib/median_gap',
    }
