"""Apply a calibrator to probability maps on disk, of any network.

Masks of --masks: 'keep' is the network's decision, 'accuracy' the more probable class
of each pixel, 'dice' the mask of the largest expected Dice.

Example:
    mmaslp apply calibrator.json test_maps --out calibrated --masks dice
"""

import argparse
from typing import TYPE_CHECKING

from ..common.options import MASKS
from .arguments import add_map_options, map_reader
from .groups import add_groups, grouping

if TYPE_CHECKING:
    from ..calibration.calibrator import Calibrator
    from ..calibration.decisions import Decisions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('calibrator', help='file of `mmaslp fit`, or its folder')
    parser.add_argument('maps', help='folder of maps')
    parser.add_argument('--out', required=True, metavar='DIR', help='where to write')
    parser.add_argument(
        '--masks', choices=MASKS, help='write masks too, into the folder DIR_masks'
    )

    add = parser.add_mutually_exclusive_group().add_argument
    add(
        '--min-object-prob',
        type=float,
        metavar='P',
        help='with --masks keep: leave out objects that are real with a smaller '
        'probability',
    )
    add(
        '--keep-real',
        type=float,
        metavar='SHARE',
        help='choose that probability by the share of real objects that must stay',
    )
    add(
        '--max-false',
        type=float,
        metavar='N',
        help='choose it by the false objects that an image may keep on average',
    )
    add_groups(parser)
    add_map_options(parser)


def run(args: argparse.Namespace) -> None:
    """Read every map once, then write them calibrated."""
    from ..calibration.calibrator import Calibrator, file_of
    from ..workflows.apply import apply_calibrator

    groups = grouping(args.groups)
    args.calibrator = file_of(args.calibrator)
    calibrator = Calibrator.load(args.calibrator)
    least = _least_probability(args, calibrator)
    if groups is not None and least is None:
        raise ValueError(
            '--groups are for the set that objects are left out of: give '
            '--min-object-prob, --keep-real or --max-false, or leave --groups out'
        )
    folders = apply_calibrator(
        calibrator,
        args.maps,
        args.out,
        masks=args.masks,
        min_object_prob=least,
        reader=map_reader(args),
        workers=args.workers,
        overwrite=args.overwrite,
        calibrator_file=args.calibrator,
        groups=groups,
    )

    if least is not None and least != args.min_object_prob:
        _print_cut(calibrator.need_decisions(), least)
    for name, (folder, number) in folders.items():
        print(f'{number} {name} in {folder}')
    print(
        f'The calibrator is for images like {_fitted_to(calibrator)} of its fit. Run '
        '`mmaslp drift` on the same maps to see whether these are alike.'
    )
    if args.masks in ('accuracy', 'dice') and calibrator.target == 'confidence':
        print(
            "The maps keep the network's decisions. Thresholded at 1/2 they give the "
            f'masks of --masks keep, not of --masks {args.masks}.'
        )


def _fitted_to(calibrator: 'Calibrator') -> str:
    """The images of a fit, as far as they are known."""
    images = calibrator.record.get('images')
    if images is None:
        return 'those'
    return f'the {images}'


def _least_probability(
    args: argparse.Namespace, calibrator: 'Calibrator'
) -> float | None:
    """Least probability of an object that stays, named or chosen; None: all stay."""
    if args.keep_real is None and args.max_false is None:
        return args.min_object_prob
    calibrator.check_objects()
    decisions = calibrator.need_decisions()
    return decisions.least_probability(args.keep_real, args.max_false)


def _print_cut(decisions: 'Decisions', least: float) -> None:
    """Say what the chosen probability meant for the images of the fit."""
    [(_, kept, false, dice)] = [row for row in decisions.cuts if row[0] == least]
    objects = decisions.record.get('objects', {})
    print(
        f'objects below a probability of {least:g} are left out. On images that '
        f'the fit left out {kept:.0%} of the {objects.get("real", "")} real ones '
        f'that the network had found stayed, with {false:.2f} false ones an image '
        f'and a mean Dice of {dice:.3f}'
    )
