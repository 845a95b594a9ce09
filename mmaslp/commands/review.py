"""Say which masks to trust: what to expect of each image, the most doubtful first.

The calibrator is one of `mmaslp fit`. A row of the review says what Dice, IoU, accuracy
and area to expect of the mask p > 1/2 of an image, with bounds. --objects writes the
probability that each object is real. --truth measures both against masks.

Example:
    mmaslp review test_maps --calibrator calibrator.json --out review.csv
"""

import argparse
import math
from typing import TYPE_CHECKING

from .arguments import add_map_options, add_overwrite, map_reader

if TYPE_CHECKING:
    from ..files.map_pairs import MapFiles
    from ..files.review import Extra

# Most images whose pictures a page has, the most doubtful ones.
MOST_PICTURES = 500
# Figures that only a review has; the others are those of all results.
TITLES = {
    'nll_object': 'NLL of objects',
    'covered': 'images above the lower bound',
    'aurc_confidence': 'AURC of the mean confidence',
    'aurc_perfect': 'AURC of a perfect order',
    'area_error': 'error of the area',
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add('maps', help='folder of maps')
    add('--calibrator', required=True, metavar='FILE', help='file of `mmaslp fit`')
    add('--out', required=True, metavar='FILE', help='the review (CSV)')
    add('--objects', metavar='FILE', help='write a row for each object too (CSV)')
    add('--report', metavar='FILE', help='write a page with thumbnails too (HTML)')
    add('--images', metavar='DIR', help='photographs of the same names, for the page')

    add('--truth', metavar='DIR', help='folder of masks: measure the review')
    add(
        '--level',
        type=float,
        default=0.9,
        help='share of images that a bound holds for; defaults to 0.9',
    )
    add_overwrite(parser)
    add_map_options(parser)


def run(args: argparse.Namespace) -> None:
    """Review every map, write the files, say what is doubtful."""
    from ..calibration.calibrator import Calibrator
    from ..common.outputs import check_outputs
    from ..files.map_pairs import MapFiles
    from ..files.names import display_name
    from ..files.review import (
        compare_review,
        proof,
        review_maps,
        write_objects,
        write_review,
    )
    from ..metrics.catalogue import metric_of

    if args.images and not args.report:
        raise ValueError('--images are for a page: name it by --report')
    check_outputs(
        {
            '--out': args.out,
            '--objects': args.objects,
            '--report': args.report,
        },
        [args.maps, args.truth, args.calibrator, args.images],
        args.overwrite,
    )
    calibrator = Calibrator.load(args.calibrator)
    files = MapFiles.of(args.maps, args.truth)
    rows = review_maps(
        calibrator,
        files,
        reader=map_reader(args),
        level=args.level,
        extras=_extras(args, files),
        keep={'views': MOST_PICTURES},
        workers=args.workers,
    )
    comparison, rows = compare_review(calibrator, rows)
    write_review(args.out, rows, args.overwrite)
    print(comparison or f'{len(rows)} images are too few to compare them with the fit.')
    print(f'{"most doubtful images":<32}{"Dice":>8}{"at least":>10}{"objects":>9}')
    for row in rows[:10]:
        told = row.estimate
        print(
            f'{display_name(row.name):<32}{_number(told.dice):>8}'
            f'{_number(told.dice_low):>10}{told.objects:>9}'
        )
    silent = sum(math.isnan(row.estimate.dice) for row in rows)
    if silent:
        print(
            f'{silent} of {len(rows)} images: the validation images cannot tell, see '
            'what `mmaslp fit` said'
        )

    outside = sum(row.estimate.out_of_range for row in rows)
    if outside:
        print(
            f'{outside} of {len(rows)} images are outside of the range of the fit: '
            'they come first and have no bounds'
        )

    if args.truth:
        print(f'\n{"measured against the masks":<32}{"":>8} 95 % interval')
        for key, (value, low, high) in proof(rows).items():
            interval = f'[{_number(low)}, {_number(high)}]'
            title = TITLES.get(key) or metric_of(key).label
            print(f'{title:<32}{_number(value):>8} {interval}')
    print(f'\nreview: {display_name(args.out)}')
    if args.objects:
        write_objects(args.objects, rows, args.overwrite)
        print(f'objects: {display_name(args.objects)}')
    if args.report:
        from ..report.review_page import write_review_page

        write_review_page(
            args.report,
            rows,
            calibrator,
            calibrator_file=args.calibrator,
            notices=[str(comparison)] if comparison and comparison.differs else [],
            overwrite=args.overwrite,
        )
        print(f'report: {display_name(args.report)}')


def _extras(args: argparse.Namespace, files: 'MapFiles') -> dict[str, 'Extra']:
    """What else the options ask for of each image."""
    from ..report.review_page import find_photos
    from ..report.views import Painter

    photos = find_photos(args.images, files.pairs) if args.images else {}
    return {'views': Painter(photos)} if args.report else {}


def _number(value: float) -> str:
    return '-' if math.isnan(value) else f'{value:.3f}'
