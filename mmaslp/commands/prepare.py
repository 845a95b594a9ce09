"""Check the images and masks of a data set, and divide it into train, val and test.

All problems come in one message. Then the lists train.txt, val.txt and test.txt are
written into the folder of the set; images and masks stay where they are. A set that is
divided already is checked only.

Example:
    mmaslp prepare data/DUTS-TR --layout DUTS-TR
"""

import argparse

from ..files.layouts import LAYOUTS
from .arguments import add_overwrite


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add('root', help='the folder of the set')
    add(
        '--layout',
        choices=LAYOUTS,
        help='published set; by default found by the names of the folders',
    )

    split = parser.add_mutually_exclusive_group().add_argument
    split('--val-list', help='list file of the validation images, one name per line')
    split('--val-ratio', type=float, default=0.1, help='share of validation images')
    add(
        '--test-ratio',
        type=float,
        help='share of test images; default 0.2, 0 with a published --layout',
    )
    add('--seed', type=int, default=0, help='seed of the random split')
    add_overwrite(parser)


def run(args: argparse.Namespace) -> None:
    """Check, divide, and say how many images each part has."""
    from ..workflows.prepare import prepare_dataset

    prepared = prepare_dataset(
        args.root,
        args.layout,
        val_list=args.val_list,
        val_ratio=args.val_ratio,
        test_ratio=args.test_ratio,
        seed=args.seed,
        overwrite=args.overwrite,
    )
    for part, names in prepared.parts.items():
        listed = 'as divided (--overwrite divides lists anew, but not folders)'
        if prepared.lists:
            listed = f'listed in {args.root}/{part}.txt'
        images = '1 image' if len(names) == 1 else f'{len(names)} images'
        print(f'{part}: {images}, {listed}')

    number = sum(map(len, prepared.parts.values()))
    if prepared.without_object:
        print(f'{prepared.without_object} of {number} images contain no object')
    else:
        print(
            f'all {number} images contain an object: if the network will meet images '
            'without one, train with ObjectFreeCrop (docs/windows.md)'
        )
