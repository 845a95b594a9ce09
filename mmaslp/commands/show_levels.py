"""Show images with low and high levels, and how well low ones find wrong masks.

Example:
    mmaslp show-levels mmaslp::demo/aslp_mc.py work_dirs/aslp_mc/epoch_100.pth
"""

import argparse
import os.path as osp

from ..apis.config import load_config
from ..apis.level_report import describe_summary, show_levels
from .arguments import add_cfg_options, add_trust
from .parser import CONFIG_HELP

__all__ = ['add_arguments', 'run']


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('config', help=f'{CONFIG_HELP}, of a run with ASLPHook')
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


def run(args: argparse.Namespace) -> None:
    """Write the pictures and print the summary."""
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
