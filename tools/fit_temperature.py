#!/usr/bin/env python
"""Fit the temperature of a checkpoint on the validation set (temperature scaling)."""

import argparse
from collections.abc import Sequence

from mmengine.dist import is_main_process

from mmaslp.apis.cli import (
    add_host_arguments,
    add_trust,
    exit_on_user_error,
    set_local_rank,
)
from mmaslp.apis.config import load_config, set_work_dir
from mmaslp.apis.temperature import REGIONS, fit_checkpoint
from mmaslp.utils.temperature_file import temperature_path


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Fit the temperature of a checkpoint')
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
    add_trust(parser)
    add_host_arguments(parser)
    return parser.parse_args(argv)


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    set_local_rank(args)
    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    set_work_dir(cfg, args.config, args.work_dir)
    cfg.load_from = args.checkpoint
    fit_checkpoint(cfg, args.out, args.regions, trust_checkpoint=args.trust_checkpoint)
    if is_main_process():
        print(f'written to {args.out or temperature_path(args.checkpoint)}')


if __name__ == '__main__':
    main()
