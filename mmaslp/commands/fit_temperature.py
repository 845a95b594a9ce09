"""Fit the temperature of a checkpoint on the validation set (temperature scaling).

Example:
    mmaslp fit-temperature CONFIG work_dirs/run/epoch_30.pth --regions border
"""

import argparse

from mmengine.dist import is_main_process

from ..apis.config import check_checkpoint, load_config, set_work_dir
from ..apis.temperature import REGIONS, fit_checkpoint, fit_summary
from ..utils.temperature_file import temperature_path
from .arguments import add_host_arguments, set_local_rank

__all__ = ['add_arguments', 'run']


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out',
        metavar='FILE',
        help='JSON file to write, by default CHECKPOINT.temperature.json',
    )
    parser.add_argument(
        '--regions',
        choices=REGIONS,
        help='fit a temperature per band of distance from the predicted border too, '
        'which tests then take',
    )
    add_host_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Fit, and print what it gains."""
    set_local_rank(args)
    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    set_work_dir(cfg, args.config, args.work_dir)
    check_checkpoint(args.checkpoint)
    cfg.load_from = args.checkpoint
    record = fit_checkpoint(cfg, args.out, args.regions)
    if not is_main_process():
        return
    print(f'\n{fit_summary(record)}')
    print(f'written to {args.out or temperature_path(args.checkpoint)}')
