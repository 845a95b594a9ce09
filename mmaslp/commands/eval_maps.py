"""Measure the calibration of probability maps on disk, from any model.

Maps are 8-bit and 16-bit images (value / 255, value / 65535) and .npy of floats in
[0, 1]. They are matched to binary masks by name.

Example:
    mmaslp eval-maps maps/ISNet masks --json isnet.json --plot isnet.pdf
"""

import argparse

from ..core.measure.protocol import PROTOCOLS
from ..report.maps import check_outputs, evaluate_folders, write_outputs
from ..report.text_table import format_table
from .parser import add_max_value
from .threads import one_thread

__all__ = ['add_arguments', 'run']


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        'pred_dir', nargs='+', help='folder of maps; several: one row per folder'
    )
    parser.add_argument('gt_dir', help='folder of masks')
    parser.add_argument('--json', metavar='FILE', help='write all metrics')
    parser.add_argument(
        '--plot',
        metavar='FILE',
        help='write reliability diagrams (.png, .pdf, .svg), and beside them those by '
        'distance from the border to a file whose name ends in _bands',
    )
    parser.add_argument(
        '--report',
        metavar='FILE',
        help='write an HTML report, and beside it the JSON file of its results',
    )
    parser.add_argument(
        '--protocol',
        choices=PROTOCOLS,
        default='raw',
        help="'released' stretches every map to [0, 1] first, as published numbers "
        'are computed; it changes the probabilities that are measured',
    )
    add_max_value(parser)
    parser.add_argument('--bins', type=int, default=10, help='defaults to 10')
    parser.add_argument('--sod', action='store_true', help='F-, E-, S-measure, MAE')
    parser.add_argument(
        '--resamples', type=int, default=1000, help='bootstrap, defaults to 1000'
    )
    parser.add_argument(
        '--worst',
        type=int,
        default=6,
        help='pictures in the report: so many of the most over-confident, of the most '
        'under-confident and of a random sample; defaults to 6',
    )
    parser.add_argument(
        '--paths', action='store_true', help='keep absolute paths in the report'
    )
    parser.add_argument('--images', help='folder of the photographs, for the report')


def run(args: argparse.Namespace) -> None:
    """Measure, print the table, write what was asked for."""
    outputs = dict(json=args.json, plot=args.plot, report=args.report)
    folders = [*args.pred_dir, args.gt_dir]
    check_outputs(**outputs, images=args.images, inputs=folders, pictures=args.worst)
    with one_thread():
        results = evaluate_folders(
            args.pred_dir,
            args.gt_dir,
            bins=args.bins,
            max_value=args.max_value,
            protocol=args.protocol,
            sod=args.sod,
            resamples=args.resamples,
        )
    _print(results)
    write_outputs(
        results,
        **outputs,
        images=args.images,
        pictures=args.worst,
        paths=args.paths,
    )


def _print(results: list[dict]) -> None:
    print(format_table({result['model']: result for result in results}))
    measures = {result['model']: result.get('measures', {}) for result in results}
    if any(measures.values()):
        keys = list(next(iter(measures.values())))
        print('\n' + format_table(measures, keys))
