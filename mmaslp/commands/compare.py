"""Compare two models on the same images: paired bootstrap over images.

It prints the difference (second - first) of every metric, with its interval over
resampled images. The result files come from CalibrationMetric or
`mmaslp eval-maps --json`.

Example:
    mmaslp compare bce/calibration_test.json aslp/calibration_test.json
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add('first', help='result file')
    add('second', nargs='?', help='result file of the same images; or the first')
    add(
        '--name',
        nargs=2,
        metavar=('FIRST', 'SECOND'),
        default=(None, None),
        help="which model to take of each file that holds several ('' for a file of "
        'one result); of one file of two the first and the second',
    )
    add('--json', metavar='FILE', help='write the comparison')
    add('--resamples', type=int, default=2000, help='defaults to 2000')


def run(args: argparse.Namespace) -> None:
    """Compare and print the differences."""
    from ..files.results import load_results
    from ..metrics.figures import metric_of
    from ..report.analysis import compare_results

    first, second = (name or None for name in args.name)
    if args.second is None and (first, second) == (None, None):
        models = [result.model for result in load_results(args.first)]
        first, second = models if len(models) == 2 else (None, None)
    if args.second is None and None in (first, second):
        raise ValueError(f'name a second file, or two models of {args.first} (--name)')
    metrics, images = compare_results(
        args.first,
        args.second or args.first,
        names=(first, second),
        json=args.json,
        resamples=args.resamples,
    )
    print(
        f'{images} images, 95% intervals over images, without the chance of another '
        'training; * : the interval excludes 0'
    )
    if first and second:
        print(f'first: {first}, second: {second}')
    print(f'{"":<24}{"first":>9}{"second":>9}{"difference":>12}')
    for key, row in metrics.items():
        print(
            f'{metric_of(key).label:<24}{row.first:9.4f}{row.second:9.4f}'
            f'{row.difference:+12.4f} [{row.low:+.4f}, {row.high:+.4f}]'
            f'{" *" if row.differs else ""}'
        )
