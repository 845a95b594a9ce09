"""Compare two models, raw with raw and calibrated with calibrated.

It prints the difference (second - first) of every metric, with its interval over
images. On the same images both models draw the same ones; on other images each draws
its own. Several trainings of each model come as two lists, in the order of their seeds.
The result files come from CalibrationMetric, `mmaslp eval-maps --json` and reports.

With --fail-if-worse it ends with 1 if a figure of the second is worse beyond chance,
else with 0. Of equal networks at most one comparison in a thousand ends with 1.

Example:
    mmaslp compare bce/calibration_test.json aslp/calibration_test.json
    mmaslp compare bce0.json bce1.json --with aslp0.json aslp1.json
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .arguments import add_overwrite

if TYPE_CHECKING:
    from ..report.comparison import Comparison


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add(
        'results',
        nargs='+',
        metavar='RESULT',
        help='file of the first model and of the second; or one file that holds both',
    )
    add(
        '--with',
        dest='second',
        nargs='+',
        metavar='RESULT',
        help='files of the second model, one for each training of the first',
    )

    add(
        '--name',
        nargs=2,
        metavar=('FIRST', 'SECOND'),
        default=(None, None),
        help="which model to take of each file that holds several ('' for all rows); "
        'of one file of two the first and the second',
    )
    add(
        '--fail-if-worse',
        nargs='*',
        metavar='FIGURE',
        help='end with 1 if one of these figures is worse, by default one of those in '
        'tables, oe or ue; keys as in the JSON file, such as ece_band and nll',
    )
    add('--json', metavar='FILE', help='write the comparison')
    add_overwrite(parser)
    add('--resamples', type=int, default=2000, help='defaults to 2000')


def run(args: argparse.Namespace) -> int:
    """Compare and print the differences."""
    from ..metrics.catalogue import check_can_be_worse
    from ..report.comparison import compare_results, in_a_sentence, worse_figures

    firsts, seconds, names = _sides(args)
    for key in args.fail_if_worse or ():
        check_can_be_worse(key, f'--fail-if-worse {key}')
    found = compare_results(
        firsts,
        seconds,
        names=names,
        resamples=args.resamples,
        json=args.json,
        overwrite=args.overwrite,
    )
    for own in found:
        _print(own, several=len(found) > 1)
    several = len({own.dataset for own in found}) > 1
    for own in found:
        print((f'{own.dataset}: ' if several else '') + in_a_sentence(own))

    if args.fail_if_worse is None:
        return 0
    worse = 0
    for own in found:
        figures = worse_figures(own.figures, args.fail_if_worse)
        worse += len(figures)
        kind = 'calibrated ' if own.calibrated else ''
        for key, size in figures.items():
            change = own.figures[key]
            print(
                f'worse: {kind}{key} of {own.second} on {own.dataset}, '
                f'{change.first:.4f} before and {change.second:.4f} now, by {size:.1f} '
                'standard errors'
            )
    if not worse:
        print('not worse beyond chance')
    return 1 if worse else 0


def _sides(
    args: argparse.Namespace,
) -> tuple[Sequence[str], Sequence[str], tuple[str | None, str | None]]:
    """Files of both models, and the names to take of them."""
    from ..evaluation.result_files import load_results

    first, second = (name or None for name in args.name)
    if args.second:
        return args.results, args.second, (first, second)
    if len(args.results) == 2:
        return args.results[:1], args.results[1:], (first, second)
    if len(args.results) > 2:
        raise ValueError(
            'several trainings of each model: name those of the second after --with'
        )
    file = args.results[0]
    if (first, second) == (None, None):
        models = list(dict.fromkeys(result.model for result in load_results(file)))
        first, second = models if len(models) == 2 else (None, None)
    if None in (first, second):
        raise ValueError(f'name a second file, or two models of {file} (--name)')
    return [file], [file], (first, second)


def _print(found: Comparison, several: bool) -> None:
    from ..metrics.catalogue import metric_of

    one, other = found.images
    images = f'{one} images' if found.paired else f'{one} images and {other} others'
    trainings = f' and {found.seeds} trainings' if found.seeds > 1 else ''
    without = '' if found.seeds > 1 else ', without the chance of another training'
    pairing = '' if found.paired else '; unpaired: the images are not the same'
    print(
        f'{images}, 95% intervals over images{trainings}{without}{pairing}; * : the '
        'interval excludes 0'
    )
    kind = ', calibrated' if found.calibrated and several else ''
    where = f' on {found.dataset}{kind}' if several else ''
    print(f'first: {found.first}, second: {found.second}{where}')
    print(f'{"":<24}{"first":>9}{"second":>9}{"difference":>12}')
    for key, row in found.figures.items():
        print(
            f'{metric_of(key).label:<24}{row.first:9.4f}{row.second:9.4f}'
            f'{row.difference:+12.4f} [{row.low:+.4f}, {row.high:+.4f}]'
            f'{" *" if row.differs else ""}'
        )
    print()
