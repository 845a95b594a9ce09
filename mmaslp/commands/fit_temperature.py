"""Fit the temperature of a checkpoint on the validation set (temperature scaling).

Example:
    mmaslp fit-temperature CONFIG work_dirs/run/epoch_30.pth --regions border
"""

import argparse

from mmengine.dist import is_main_process

from ..files.temperature_file import temperature_path
from ..hosts.mmseg.temperature import REGIONS, fit_checkpoint
from .arguments import add_host_arguments, add_trust, config_of_run
from .parser import CONFIG_HELP

__all__ = ['add_arguments', 'run']


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('config', help=CONFIG_HELP)
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
    add_trust(parser)
    add_host_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Fit, and print what it gains."""
    cfg = config_of_run(args)
    cfg.load_from = args.checkpoint
    fit_checkpoint(cfg, args.out, args.regions, trust_checkpoint=args.trust_checkpoint)
    if is_main_process():
        print(f'written to {args.out or temperature_path(args.checkpoint)}')
