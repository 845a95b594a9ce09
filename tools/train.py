#!/usr/bin/env python
"""Train a segmentor: the host's train.py, with checks before anything is built."""

import argparse

from mmengine.logging import print_log
from mmengine.runner import Runner, find_latest_checkpoint
from mmseg.registry import RUNNERS

from mmaslp.apis.cli import add_host_arguments, exit_on_user_error, set_local_rank
from mmaslp.apis.config import check_checkpoint, load_config, set_work_dir


def parse_args(argv=None):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Train a segmentor')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='resume from the latest checkpoint in the work directory',
    )
    parser.add_argument(
        '--amp', action='store_true', help='train with automatic mixed precision'
    )
    add_host_arguments(parser)
    return parser.parse_args(argv)


def use_amp(cfg):
    """Turn on automatic mixed precision.

    Raises:
        ValueError: If the config's optimizer wrapper is of another kind.
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


@exit_on_user_error
def make_runner(args):
    """Build the runner, or end with one message about config, checkpoint or data."""
    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    set_work_dir(cfg, args.config, args.work_dir)
    if args.amp:
        use_amp(cfg)
    if args.resume:
        cfg.resume = True
    start = cfg.get('load_from')
    if start is None and cfg.get('resume'):
        start = find_latest_checkpoint(cfg.work_dir)
    if start is not None:
        check_checkpoint(start)
    build = RUNNERS.build if 'runner_type' in cfg else Runner.from_cfg
    runner = build(cfg)
    # They build the data sets: a missing folder is the user's to know of, too.
    _ = runner.train_loop, runner.val_loop
    return runner


def main(argv=None):
    """Run the tool."""
    args = parse_args(argv)
    set_local_rank(args)
    make_runner(args).train()


if __name__ == '__main__':
    main()
