#!/usr/bin/env python
"""Fit the temperature of a checkpoint on the validation set (temperature scaling)."""

import argparse
from collections.abc import Sequence

from mmengine.dist import is_main_process

from mmaslp.apis.cli import add_host_arguments, exit_on_user_error, set_local_rank
from mmaslp.apis.config import check_checkpoint, load_config, set_work_dir
from mmaslp.apis.temperature import REGIONS, fit_checkpoint, fit_summary
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
    check_checkpoint(args.checkpoint)
    cfg.load_from = args.checkpoint
    record = fit_checkpoint(cfg, args.out, args.regions)
    if not is_main_process():
        return
    print(f'\n{fit_summary(record)}')
    print(f'written to {args.out or temperature_path(args.checkpoint)}')


if __name__ == '__main__':
    main()
