"""Train a network of MMSegmentation, with checks before anything is built.

Example:
    mmaslp train mmaslp::demo/aslp_mc.py --work-dir work_dirs/aslp_mc
"""

import argparse

from .arguments import add_host_arguments, add_trust, config_of_run
from .parser import CONFIG_HELP


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('config', help=CONFIG_HELP)
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
    from ..hosts.mmseg.training import run_training

    cfg = config_of_run(args)
    args.work_dir = cfg.work_dir  # what `kept` looks into
    run_training(
        cfg,
        resume=args.resume,
        amp=args.amp,
        overwrite=args.overwrite,
        trust_checkpoint=args.trust_checkpoint,
    )


def kept(args: argparse.Namespace) -> str:
    """Say what an interruption leaves and how to go on."""
    from ..hosts.mmseg.checkpoint import numbered_checkpoints

    found = numbered_checkpoints(args.work_dir) if args.work_dir else []
    if not found:
        return 'no checkpoint was written yet; the same command starts anew'
    return f'{found[0]} is kept; the same command goes on from it with --resume'
