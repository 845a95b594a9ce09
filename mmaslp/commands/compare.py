"""Compare two models, raw with raw and calibrated with calibrated.

It says which is better, and prints the difference (second - first) of every metric
with its 95 % interval over images. Results come from `mmaslp test`, `mmaslp eval-maps
--json` and reports. Of one file all models are compared with the first.

Example:
    mmaslp compare bce/calibration_test.json aslp/calibration_test.json
"""

import argparse
from dataclasses import asdict
from os.path import samefile
from typing import TYPE_CHECKING

from ..common.options import RESAMPLES
from ..files.names import display_name, printable
from .arguments import add_overwrite, add_resamples, check_tables
from .groups import add_groups, grouping

if TYPE_CHECKING:
    from ..evaluation.comparison import Comparison

FORMAT = 'mmaslp comparison 5'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add('first', help='result file of the first model, or of both')
    add('second', nargs='?', help='result file of the second model')

    add(
        '--fail-if-worse',
        action='extend',
        nargs='*',
        metavar='METRIC',
        help='exit with 1 if one of these metrics is worse beyond chance; default: '
        'the metrics of the tables, oe and ue',
    )
    add_groups(parser)
    add('--json', metavar='FILE', help='write the comparison')
    add_overwrite(parser)
    add_resamples(parser)


def run(args: argparse.Namespace) -> int:
    """Compare, say what came of it, and print the differences."""
    from ..evaluation.alarms import worse_metrics
    from ..evaluation.verdict import verdict

    alarm = args.fail_if_worse is not None
    _check(args, alarm)
    comparisons = _comparisons(args, alarm)
    worse = []
    for comparison in comparisons:
        print(f'{display_name(verdict(comparison))}\n')
        _print(comparison)
        if alarm:
            worse.append(worse_metrics(comparison, args.fail_if_worse))
    if args.json:
        _write(args, comparisons)
    for comparison, sizes in zip(comparisons, worse):
        _print_worse(comparison, sizes)
    return int(any(worse))


def _check(args: argparse.Namespace, alarm: bool) -> None:
    """Refuse, before the work starts, what cannot be done or must not be written."""
    from ..common.arguments import check_integer
    from ..common.outputs import check_outputs

    check_tables({'--json': args.json})
    check_outputs({'--json': args.json}, [args.first, args.second], args.overwrite)
    least = 2
    if alarm:  # what it tests is without the bias that resamples show
        least = RESAMPLES
    check_integer('--resamples', args.resamples, at_least=least)
    if alarm and args.second and samefile(args.first, args.second):
        raise ValueError(
            f'{args.first} is given twice, and is never worse than itself: name the '
            'result of today second'
        )


def _comparisons(args: argparse.Namespace, alarm: bool) -> 'list[Comparison]':
    """Compare two files, or the models of one; of three and more say which is best."""
    from ..evaluation.comparison import compare_files, compare_within, sets_of_file
    from ..evaluation.verdict import overall_verdict

    groups = grouping(args.groups)
    if args.second is not None:
        return compare_files(
            args.first, args.second, args.resamples, alarm, groups=groups
        )

    comparisons: list[Comparison] = []
    for alike in sets_of_file(args.first, args.resamples, groups):
        if len(alike) > 2:
            print(f'{display_name(overall_verdict(alike))}\n')
        comparisons += compare_within(alike)
    return comparisons


def _write(args: argparse.Namespace, comparisons: 'list[Comparison]') -> None:
    """Write the comparisons with what was said of them."""
    from ..common.outputs import write_output
    from ..evaluation.result import strict_json
    from ..evaluation.verdict import verdict

    rows = []
    for comparison in comparisons:
        rows.append({**asdict(comparison), 'verdict': verdict(comparison)})
    content = {'format': FORMAT, 'comparisons': rows}
    write_output(args.json, strict_json(content, 1) + '\n', args.overwrite)


def _print(comparison: 'Comparison') -> None:
    from ..report.tables import as_text, difference_table

    units = comparison.units
    images = f'{comparison.images[0]} images'
    if not comparison.paired:
        images += f' and {comparison.images[1]}, not the same: unpaired'
    if comparison.groups is not None:
        images += f', in {units.text}'
    table = difference_table(comparison)
    print(display_name(table.caption))
    print(f'{images}, 95 % intervals over {units.name}, not over trainings')
    if comparison.needed:
        print(
            f'too few {units.name}: a test of all these metrics needs '
            f'{comparison.needed}'
        )
    else:
        print('* more than chance, tested for all these metrics together')
    print(f'{printable(as_text(table))}\n')


def _print_worse(comparison: 'Comparison', sizes: dict[str, float]) -> None:
    for key, size in sizes.items():
        change = comparison.metrics[key]
        print(
            f'worse: {key} of {display_name(comparison.titles[1])} on '
            f'{display_name(comparison.dataset)}, {change.first:.4f} before and '
            f'{change.second:.4f} now, by {size:.1f} standard errors'
        )
    if not sizes:
        print(
            'no alarm: it rings where a metric is worse at 1 in 1,000, for all metrics '
            'together; stars are at 1 in 20'
        )
