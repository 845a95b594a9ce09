"""Train a segmentor: the host's train.py, with checks before it builds anything.

Example:
    mmaslp train mmaslp::demo/aslp_mc.py --work-dir work_dirs/aslp_mc
"""

import argparse

from ..apis.config import load_config, set_work_dir
from ..apis.training import run_training
from .arguments import add_host_arguments, add_trust, set_local_rank

__all__ = ['add_arguments', 'run']


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='resume from the latest checkpoint in the work directory',
    )
    parser.add_argument(
        '--amp', action='store_true', help='train with automatic mixed precision'
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='remove the checkpoints of an earlier training in the work directory',
    )
    add_trust(parser)
    add_host_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Train."""
    set_local_rank(args)
    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    set_work_dir(cfg, args.config, args.work_dir)
    run_training(
        cfg,
        resume=args.resume,
        amp=args.amp,
        overwrite=args.overwrite,
        trust_checkpoint=args.trust_checkpoint,
    )
