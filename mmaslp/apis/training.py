"""Building the runner of a training."""

import os.path as osp

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner, find_latest_checkpoint

from ..checks.config import check_training
from ..datasets.examining import dataset_of, examine_datasets
from ..engine.hooks import ASLPHook
from ..utils.findings import report_findings
from .config import check_checkpoint
from .runs import build_runner
from .weights import WeightsHook

__all__ = ['prepare_training', 'use_amp']


def prepare_training(cfg: Config, *, resume: bool = False, amp: bool = False) -> Runner:
    """Build the runner of a config and its data sets, ready to train.

    Args:
        cfg (Config): Config with ``work_dir`` and ``launcher`` set.
        resume (bool): Continue from the latest checkpoint of the work directory, or
            from ``load_from``. Defaults to False: as the config says.
        amp (bool): Train with automatic mixed precision. Defaults to False: as the
            config says.

    Raises:
        FileNotFoundError: A checkpoint or data is missing.
        ValueError: A checkpoint is damaged, config or data have problems, or ``amp``
            does not fit the optimizer of the config. The runner raises it later if
            it resumes from weights that do not fit.
    """
    if amp:
        use_amp(cfg)
    if resume:
        cfg.resume = True
    start = cfg.get('load_from')
    if start is None and cfg.get('resume'):
        start = find_latest_checkpoint(cfg.work_dir)
    if start is not None:
        check_checkpoint(start)
    findings = check_training(cfg)
    refused = [finding for finding in findings if finding.level == 'error']
    report_findings(refused)  # before anything is built
    runner = build_runner(cfg)
    report_findings(findings)
    # They build the data sets, so a missing folder is reported here too.
    loops = runner.train_loop, runner.val_loop
    if not any(isinstance(hook, ASLPHook) for hook in runner.hooks):  # which does so
        report_findings(examine_datasets(*map(dataset_of, loops)))
    if start is None or not osp.isdir(start):  # a folder holds shards
        runner.register_hook(WeightsHook(strict=bool(cfg.get('resume'))))
    return runner


def use_amp(cfg: Config) -> None:
    """Turn on automatic mixed precision.

    Args:
        cfg (Config): With ``optim_wrapper``.

    Raises:
        ValueError: If the optimizer wrapper is of another kind.
    """
    kind = cfg.optim_wrapper.type
    if kind == 'AmpOptimWrapper':
        print_log('the config turns AMP on already', logger='current')
        return
    if kind != 'OptimWrapper':
        raise ValueError(
            f'--amp needs an optim_wrapper of type OptimWrapper, not {kind}'
        )
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.loss_scale = 'dynamic'
