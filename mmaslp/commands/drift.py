"""Compare new maps with the images of a fit, without masks: are they alike?

It ends with 1 if a classifier can tell the new images from those of the fit. Of sets
that are alike at most one in a thousand ends with 1.

Example:
    mmaslp drift maps_of_today --calibrator calibrator.json
"""

import argparse

from .arguments import add_map_options, check_tables, map_reader


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add('maps', help='folder of maps, as the network gives them')
    add('--calibrator', required=True, metavar='FILE', help='file of `mmaslp fit`')
    add('--json', metavar='FILE', help='write the comparison')
    add_map_options(parser)


def run(args: argparse.Namespace) -> int:
    """Compare, print a row for each feature, say whether they differ."""
    from dataclasses import asdict

    from ..calibration.calibrator import Calibrator
    from ..common.outputs import check_outputs, write_output
    from ..evaluation.result import strict_json
    from ..workflows.review import range_said, review_maps

    check_tables({'--json': args.json})
    check_outputs({'--json': args.json}, [args.maps, args.calibrator], args.overwrite)
    calibrator = Calibrator.load(args.calibrator)
    rows = review_maps(
        calibrator, args.maps, reader=map_reader(args), workers=args.workers
    )
    comparison, _ = calibrator.compare_set([row.estimate for row in rows])

    print(f'{"mean over images":<48}{"fit":>10}{"new":>10}')
    for name, (of_fit, new) in comparison.means.items():
        print(f'{name:<48}{of_fit:10.4f}{new:10.4f}')
    print(comparison)
    sentence = range_said(rows)
    if sentence:
        print(sentence)
    if args.json:
        write_output(
            args.json,
            strict_json(
                {
                    'format': 'mmaslp drift 2',
                    **asdict(comparison),
                    'withheld': comparison.withheld,
                },
                1,
            )
            + '\n',
            args.overwrite,
        )
    return int(comparison.differs)
