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
    parser.add_argument('name', choices=SETS, help='the data set')
    parser.add_argument(
        '--source', nargs='+', default=[], help='archives as downloaded, or folders'
    )
    parser.add_argument(
        '--out',
        default='data',
        help='the folder of all sets, which the configs call data_root (folder: the '
        'folder of this set). Default: data',
    )
    parser.add_argument(
        '--list', help='dtd-500: list file of the textures to take, one name per line'
    )
    split = parser.add_mutually_exclusive_group()
    split.add_argument(
        '--val-list', help='duts, folder: list file of the validation images'
    )
    split.add_argument(
        '--val-ratio', type=float, help='duts, folder: share of validation images'
    )
    parser.add_argument(
        '--test-ratio', type=float, default=0.2, help='folder: share of test images'
    )
    parser.add_argument('--seed', type=int, default=0, help='of the random split')
    parser.add_argument(
        '--skip-bad',
        action='store_true',
        help='leave out bad pairs instead of stopping',
    )


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
