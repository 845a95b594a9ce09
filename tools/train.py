#!/usr/bin/env python
"""Train a segmentor: the host's train.py, with checks before it builds anything."""

import argparse
from collections.abc import Sequence

from mmaslp.apis.cli import (
    add_host_arguments,
    add_trust,
    exit_on_user_error,
    set_local_rank,
)
from mmaslp.apis.config import load_config, set_work_dir
from mmaslp.apis.training import run_training


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
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
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='remove the checkpoints of an earlier training in the work directory',
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
    run_training(
        cfg,
        resume=args.resume,
        amp=args.amp,
        overwrite=args.overwrite,
        trust_checkpoint=args.trust_checkpoint,
    )


if __name__ == '__main__':
    main()
