"""Bring downloaded data into the layout that the configs read.

The sources are the archives as downloaded (zip, tar.gz), or folders with the unpacked
data. Every pair of image and mask is checked before anything is written. Each set
appears under --out in one piece. The sources are never changed.

Example:
    mmaslp prepare duts --source DUTS-TR.zip DUTS-TE.zip --out data
"""

import argparse
from functools import partial

from ..files.layouts import SETS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add('name', choices=SETS, help='the data set')
    add('--source', nargs='+', default=[], help='archives as downloaded, or folders')
    add(
        '--out',
        default='data',
        help='the folder of all sets, which the configs call data_root (folder: the '
        'folder of this set). Default: data',
    )
    add('--list', help='dtd-500: list file of the textures to take, one name per line')
    split = parser.add_mutually_exclusive_group().add_argument
    split('--val-list', help='duts, folder: list file of the validation images')
    split('--val-ratio', type=float, help='duts, folder: share of validation images')
    add('--test-ratio', type=float, default=0.2, help='folder: share of test images')
    add('--seed', type=int, default=0, help='of the random split')
    add('--skip-bad', action='store_true', help='leave bad pairs out; do not stop')


def run(args: argparse.Namespace) -> None:
    """Prepare the set."""
    from ..files.prepare import prepare_dataset

    prepare_dataset(
        args.name,
        args.source,
        args.out,
        list_file=args.list,
        val_list=args.val_list,
        val_ratio=args.val_ratio,
        test_ratio=args.test_ratio,
        seed=args.seed,
        skip_bad=args.skip_bad,
        report=(lambda line: None) if args.quiet else partial(print, flush=True),
    )
