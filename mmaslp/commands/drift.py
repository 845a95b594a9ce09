"""Compare new maps with the images of a fit, without masks: are they alike?

It exits with 1 if a classifier can separate the new images from the images of the fit.
If the sets are alike, that happens at most once in a thousand times.

Example:
    mmaslp drift maps_of_today --calibrator calibrator.json
"""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from .arguments import (
    add_calibrator,
    add_map_options,
    check_tables,
    judging_calibrator,
    map_reader,
)
from .groups import add_groups, groups_by_name

if TYPE_CHECKING:
    from ..calibration.sets import SetComparison
    from ..files.reviews import Reviewed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add('maps', help='folder of maps, as the network gives them')
    add_calibrator(parser)
    add('--json', metavar='FILE', help='write the comparison')
    add_groups(parser)
    add_map_options(parser)


def run(args: argparse.Namespace) -> int:
    """Compare, print a row for each feature, say whether they differ."""
    from ..calibration.calibrator import file_of
    from ..common.outputs import check_outputs, write_output
    from ..evaluation.result import strict_json
    from ..files.map_pairs import MapFiles
    from ..workflows.review import groups_of, review_maps

    check_tables({'--json': args.json})
    args.calibrator = file_of(args.calibrator)
    check_outputs({'--json': args.json}, [args.maps, args.calibrator], args.overwrite)
    files = MapFiles.of(args.maps)
    groups = groups_by_name(args.groups, list(files.pairs))
    calibrator = judging_calibrator(args.calibrator)
    rows = review_maps(calibrator, files, reader=map_reader(args), workers=args.workers)
    estimates = [row.estimate for row in rows]
    comparison, _ = calibrator.compare_set(estimates, groups_of(rows, groups))

    _print(comparison, rows)
    if args.json:
        content = {
            'format': 'mmaslp drift 2',
            **asdict(comparison),
            'withheld': comparison.withheld,
        }
        write_output(args.json, strict_json(content, 1) + '\n', args.overwrite)
    return int(comparison.differs)


def _print(comparison: 'SetComparison', rows: 'list[Reviewed]') -> None:
    """Print a row for each feature, and what follows from all."""
    from ..workflows.review import range_said

    print(f'{"mean over images":<48}{"fit":>10}{"new":>10}')
    for name, (of_fit, new) in comparison.means.items():
        print(f'{name:<48}{of_fit:10.4f}{new:10.4f}')
    print(comparison)
    sentence = range_said(rows)
    if sentence:
        print(sentence)
