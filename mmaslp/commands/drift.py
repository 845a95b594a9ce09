"""Compare two sets of maps without masks: does the network see the same world?

Compared are the share of the mask, the confidence, the objects and the expected Dice
of each image. The command ends with 1 if one of them drifts, else with 0. Of two sets
that are alike at most one comparison in a thousand ends with 1. The same names are the
same images, which are compared pair by pair.

Example:
    mmaslp drift maps_of_march maps_of_today --calibrator calibrator.json
"""

import argparse

from .arguments import add_map_options, add_overwrite, map_reader


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add('base', help='folder of maps')
    add('new', help='folder of maps, of the same or of other images')
    add(
        '--calibrator',
        metavar='FILE',
        help='file of `mmaslp fit`, for the expected Dice',
    )
    add('--json', metavar='FILE', help='write the comparison')
    add_overwrite(parser)
    add_map_options(parser)


def run(args: argparse.Namespace) -> int:
    """Compare, print a row for each figure, say what drifts."""
    from dataclasses import asdict

    from ..calibration.calibrator import Calibrator
    from ..common.outputs import check_outputs, write_output
    from ..evaluation.result_files import strict_json
    from ..files.drift import FIGURES, compare_maps

    inputs = [args.base, args.new, args.calibrator]
    check_outputs({'--json': args.json}, inputs, args.overwrite)
    calibrator = Calibrator.load(args.calibrator) if args.calibrator else None
    found = compare_maps(
        args.base,
        args.new,
        calibrator=calibrator,
        reader=map_reader(args),
        workers=args.workers,
    )
    one, other = found.images
    same = 'the same images' if found.paired else 'other images'
    print(f'{one} maps and {other} of {same}')
    print(f'{"":<44}{"base":>10}{"new":>10}{"p":>10}')
    for key, own in found.figures.items():
        mark = '  drifts' if own.drifts else ''
        print(
            f'{FIGURES[key]:<44}{own.base:10.4f}{own.new:10.4f}{own.p_value:10.2g}'
            f'{mark}'
        )
    print(f'drift in {", ".join(found.found)}' if found.found else 'nothing drifts')
    if args.json:
        content = {'format': 'mmaslp drift 1', 'drifts': found.found, **asdict(found)}
        write_output(args.json, strict_json(content, 1) + '\n', args.overwrite)
        print(f'comparison: {args.json}')
    return 1 if found.found else 0
