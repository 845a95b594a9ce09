"""Building the runner of a training."""

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner, find_latest_checkpoint

from .config import check_checkpoint
from .runs import build_runner

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
        ValueError: A checkpoint is damaged, the data has problems, or ``amp`` does not
            fit the optimizer of the config.
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
    runner = build_runner(cfg)
    # They build the data sets, so a missing folder is reported here too.
    _ = runner.train_loop, runner.val_loop
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
