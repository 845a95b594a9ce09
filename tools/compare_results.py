"""Compare two models on the same images: paired bootstrap over images.

Example:
    python tools/compare_results.py bce/calibration_test.json aslp/calibration_test.json
"""

import argparse
import sys
from collections.abc import Sequence

from mmaslp.apis.comparison import compare_results


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Difference (second - first) of every metric, with its interval '
        'over resampled images. The result files come from CalibrationMetric or '
        'eval_maps.py --json.'
    )
    parser.add_argument('first', help='result file')
    parser.add_argument('second', help='result file of the same images')
    parser.add_argument('--json', metavar='FILE', help='write the comparison')
    parser.add_argument(
        '--confidence-level', type=float, default=0.95, help='defaults to 0.95'
    )
    parser.add_argument('--resamples', type=int, default=2000, help='defaults to 2000')
    parser.add_argument('--seed', type=int, default=0, help='defaults to 0')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool.

    Args:
        argv (list[str], optional): Arguments. Defaults to None: the command line.

    Returns:
        int: 0, or 1 if an input was refused.
    """
    args = parse_args(argv)
    try:
        comparison = compare_results(
            args.first,
            args.second,
            resamples=args.resamples,
            seed=args.seed,
            confidence_level=args.confidence_level,
            json=args.json,
        )
    except (ValueError, OSError) as error:
        print(f'compare_results: {error}', file=sys.stderr)
        return 1
    print(
        f'{comparison.num_images} images, {args.confidence_level:.0%} intervals, '
        '* : without 0'
    )
    print(f'{"":<16}{"first":>9}{"second":>9}{"difference":>12}')
    for key, row in comparison.metrics.items():
        print(
            f'{key:<16}{row["first"]:9.4f}{row["second"]:9.4f}'
            f'{row["difference"]:+12.4f} [{row["low"]:+.4f}, {row["high"]:+.4f}]'
            f'{" *" if row["differs"] else ""}'
        )
    for path, metrics in comparison.outdated.items():
        print(
            f'{path} is of an earlier version and allows no intervals of '
            f'{", ".join(metrics)}: evaluate that model again'
        )
    return 0


if __name__ == '__main__':
    sys.exit(main())
