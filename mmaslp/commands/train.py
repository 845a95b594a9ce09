"""Train a network of MMSegmentation, with checks before anything is built.

Example:
    mmaslp train mmaslp::demo/aslp_image_band.py --work-dir work_dirs/demo
"""

import argparse
from functools import partial

from .arguments import CONFIG_HELP, add_run_options, config_of_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    flag = partial(parser.add_argument, action='store_true')
    parser.add_argument('config', help=CONFIG_HELP)
    flag('--resume', help='resume from the latest checkpoint in the work directory')
    flag('--amp', help='train with automatic mixed precision')
    flag('--overwrite', help='replace an earlier training when a checkpoint is written')
    add_run_options(parser)


def run(args: argparse.Namespace) -> None:
    """Train."""
    cfg = config_of_run(args, trains=True)
    from ..integrations.mmseg.training import run_training

    args.work_dir = cfg.work_dir  # what is said of an interruption looks into it
    run_training(
        cfg,
        resume=args.resume,
        amp=args.amp,
        overwrite=args.overwrite,
        trust_checkpoint=args.trust_checkpoint,
    )
    _print_checkpoint(cfg.work_dir)


def _print_checkpoint(folder: str) -> None:
    """Say where the last checkpoint is, which --quiet keeps out of the log."""
    from mmengine.dist import is_main_process
    from mmengine.runner import find_latest_checkpoint

    latest = find_latest_checkpoint(folder)
    if latest and is_main_process():
        print(f'checkpoint: {latest}')


def after_interrupt(args: argparse.Namespace) -> str:
    """Say what an interruption leaves and how to go on."""
    from mmengine.runner import find_latest_checkpoint

    latest = None
    if args.work_dir:
        latest = find_latest_checkpoint(args.work_dir)
    if not latest:
        return 'no checkpoint was written yet; the same command starts anew'
    return f'{latest} is kept; the same command goes on from it with --resume'
