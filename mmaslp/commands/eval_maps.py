"""Measure the calibration of probability maps on disk, from any model.

Maps are grey images, .npy, .npz and NIfTI files, and nnU-Net's .npz. They are matched
to binary masks by name.

Example:
    mmaslp eval-maps maps/ISNet masks --json isnet.json --plot isnet.pdf
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..common.options import PROTOCOLS
from ..files.names import display_name, short_names
from .arguments import (
    CommandParser,
    add_map_options,
    add_resamples,
    check_tables,
    map_reader,
)
from .groups import add_groups, grouping

if TYPE_CHECKING:
    from ..evaluation.result import Result


def add_arguments(parser: CommandParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add('pred_dir', nargs='+', help='folder of maps; several: one row per folder')
    add('gt_dir', help='folder of masks')
    add('--json', metavar='FILE', help='write all metrics')
    add(
        '--plot',
        metavar='FILE',
        help='write reliability diagrams (.png, .pdf, .svg), over all pixels and by '
        'band',
    )
    add(
        '--report',
        metavar='FILE',
        help='write an HTML report, and its JSON file next to it',
    )

    add(
        '--protocol',
        choices=PROTOCOLS,
        default='raw',
        help="'released' first stretches every map to [0, 1] and rounds it to 8 bits, "
        'as the code of the paper does',
    )
    add_map_options(parser, logits=False)
    add('--bins', type=int, default=10, help='default 10')
    add_resamples(parser)
    add_groups(parser)
    add(
        '--limit',
        action='extend',
        nargs='+',
        metavar='METRIC=VALUE',
        help='exit with 1 if a metric is beyond its limit, such as ece_band=.01 '
        'dice=.8, unless that may be chance',
    )


def run(args: argparse.Namespace) -> int:
    """Measure, print the table, write what was asked for."""
    from ..evaluation.alarms import beyond_limits, read_limits
    from ..evaluation.verdict import describe
    from ..report.tables import format_table
    from ..workflows.measure import evaluate_maps, name_calibrated

    _check(args)
    limits = read_limits(args.limit or ())
    groups = grouping(args.groups)
    measured = [
        evaluate_maps(
            folder,
            args.gt_dir,
            bins=args.bins,
            protocol=args.protocol,
            resamples=args.resamples,
            reader=map_reader(args),
            workers=args.workers,
            model=name,
            groups=groups,
        )
        for name, folder in _names(args.pred_dir).items()
    ]
    results = name_calibrated(measured)

    _write(args, results)  # before what a closed pipe would end
    print(format_table({result.model: result.metrics for result in results}))
    print('', *(display_name(describe(result)) for result in results), sep='\n')
    if not limits:
        return 0
    beyond = []
    for result in results:
        beyond += beyond_limits(result, limits)
    print('\n' + ('\n'.join(limit.text for limit in beyond) or 'within all limits'))
    return int(any(limit.rings for limit in beyond))


def _check(args: argparse.Namespace) -> None:
    """Refuse, before the work starts, what cannot be done or must not be written."""
    from ..common.outputs import check_outputs
    from ..metrics.bootstrap import check_resamples
    from ..report.diagrams import FORMATS
    from ..report.page import page_outputs

    check_resamples(args.resamples)
    if args.logits:
        raise ValueError(
            'eval-maps measures probabilities: apply the sigmoid, write maps of them, '
            'and leave --logits out'
        )
    if args.plot and not args.plot.lower().endswith(FORMATS):
        raise ValueError(f'--plot {args.plot}: write one of {", ".join(FORMATS)}')
    check_tables({'--json': args.json})
    check_outputs(
        {
            '--json': args.json,
            '--plot': args.plot,
            '--plot (bands)': args.plot and _beside(args.plot),
            **page_outputs(args.report),
        },
        [*args.pred_dir, args.gt_dir],
        args.overwrite,
    )


def _write(args: argparse.Namespace, results: 'list[Result]') -> None:
    """Write the files that were asked for."""
    from ..evaluation.result import save_result
    from ..report.diagrams import band_figure, reliability_figure, save_figure
    from ..report.page import write_report

    if args.json:
        save_result(
            args.json,
            results if len(results) > 1 else results[0],
            overwrite=args.overwrite,
        )
    if args.plot:
        named = {result.model: result for result in results}
        save_figure(reliability_figure(named), args.plot, args.overwrite)
        save_figure(band_figure(named), _beside(args.plot), args.overwrite)
    if args.report:
        write_report(args.report, results, overwrite=args.overwrite)


def _beside(plot: str) -> Path:
    path = Path(plot)
    return path.with_name(f'{path.stem}_bands{path.suffix}')


def _names(folders: Sequence[str]) -> dict[str, str]:
    """Name each folder by its last part, or by several if last parts are the same."""
    places = [os.path.realpath(folder) for folder in folders]
    if len({*places}) < len(folders):
        raise ValueError('the same folder of maps is named twice: name it once')
    return dict(zip(short_names(places), folders))
