"""Apply a calibrator to probability maps on disk, of any network.

The maps are written as 16-bit PNG, or in the form of .npz and .npy maps. With --masks
also masks: 'keep' is the network's decision, 'accuracy' cuts calibrated maps at 1/2,
'dice' takes for each image the mask of the largest expected Dice.

Example:
    mmaslp apply calibrator.json test_maps --out calibrated --masks dice
"""

import argparse

from .arguments import add_map_options, add_overwrite, map_reader

MASKS = ('keep', 'accuracy', 'dice')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('calibrator', help='file of `mmaslp fit`')
    parser.add_argument('maps', help='folder of maps')
    parser.add_argument('--out', required=True, metavar='DIR', help='where to')
    parser.add_argument(
        '--masks', choices=MASKS, help='write masks too, into the folder DIR_masks'
    )
    parser.add_argument(
        '--least-object',
        type=float,
        metavar='P',
        help='with --masks keep: leave out objects that are real with a smaller '
        'probability; `mmaslp fit` says what .5 does',
    )
    add_overwrite(parser)
    add_map_options(parser)


def run(args: argparse.Namespace) -> None:
    """Read every map once, then write them calibrated."""
    from ..calibration.calibrator import Calibrator
    from ..files.calibrated_maps import apply_calibrator

    calibrator = Calibrator.load(args.calibrator)
    folders = apply_calibrator(
        calibrator,
        args.maps,
        args.out,
        masks=args.masks,
        least_object=args.least_object,
        reader=map_reader(args),
        workers=args.workers,
        overwrite=args.overwrite,
    )
    for name, (folder, number) in folders.items():
        print(f'{number} {name} in {folder}')
    if calibrator.method == 'identity':
        print('The calibrator is the identity: the maps are those of the network.')
