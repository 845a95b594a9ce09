#!/usr/bin/env python
"""Show images with low and high levels, and how well low ones find wrong masks.

Example:
    python tools/show_levels.py configs/demo/aslp_mc.py work_dirs/aslp_mc/epoch_100.pth
"""

import argparse
import os.path as osp
from collections.abc import Sequence

from mmaslp.apis.cli import add_cfg_options, add_trust, exit_on_user_error
from mmaslp.apis.config import load_config
from mmaslp.apis.level_report import describe_summary, show_levels


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Show the training images with the lowest and highest levels of '
        'a run with ASLPHook, and how well low levels find wrong masks.'
    )
    parser.add_argument('config', help='config file of the run')
    parser.add_argument('checkpoint', help='checkpoint that the training wrote')
    parser.add_argument(
        '--out', metavar='DIR', help='defaults to levels/ beside the checkpoint'
    )
    parser.add_argument(
        '--num', type=int, default=12, help='images at each end, defaults to 12'
    )
    parser.add_argument(
        '--wrong',
        metavar='FILE',
        help='images whose mask is known to be wrong: JSON {"wrong_masks": [names]} '
        'or a text file, one name a line. The built-in data brings its own',
    )
    add_trust(parser)
    add_cfg_options(parser)
    return parser.parse_args(argv)


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    cfg = load_config(args.config, args.cfg_options)
    shown = show_levels(
        cfg,
        args.checkpoint,
        out=args.out,
        num=args.num,
        wrong=args.wrong,
        trust_checkpoint=args.trust_checkpoint,
    )
    print(f'\n{describe_summary(shown.summary)}\n')
    print(f'contact sheet: {osp.join(shown.folder, "levels.png")} (and .pdf)')
    print(f'histogram, table and summary: {shown.folder}')


if __name__ == '__main__':
    main()
