"""Compare two models on the same images: paired bootstrap over images.

Example:
    python tools/compare_results.py bce/calibration_test.json aslp/calibration_test.json
"""

import argparse
import sys
from pathlib import PurePath

from mmaslp.core.calibration import SORTED
from mmaslp.core.calibration.bootstrap import paired_bootstrap
from mmaslp.evaluation.results import load_result, save_result


def parse_args(argv=None):
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


def main(argv=None):
    """Run the tool.

    Args:
        argv (list[str], optional): Arguments. Defaults to None: the command line.

    Returns:
        int: 0, or 1 if an input was refused.
    """
    args = parse_args(argv)
    try:
        results, (first, second) = _matched(args.first, args.second)
        comparison = paired_bootstrap(
            first,
            second,
            args.resamples,
            args.seed,
            args.confidence_level,
            overall=results,
        )
        if args.json:
            save_result(args.json, comparison)
    except (ValueError, OSError) as error:
        print(f'compare_results: {error}', file=sys.stderr)
        return 1
    print(f'{len(first)} images, {args.confidence_level:.0%} intervals, * : without 0')
    print(f'{"":<13}{"first":>9}{"second":>9}{"difference":>12}')
    for key, row in comparison.items():
        print(
            f'{key:<13}{row["first"]:9.4f}{row["second"]:9.4f}'
            f'{row["difference"]:+12.4f} [{row["low"]:+.4f}, {row["high"]:+.4f}]'
            f'{" *" if row["differs"] else ""}'
        )
    for path, images in ((args.first, first), (args.second, second)):
        if images.fine is None:
            print(
                f'{path} is of an earlier version and allows no intervals of '
                f'{", ".join(SORTED)}: evaluate that model again'
            )
    return 0


def _matched(first_path, second_path):
    """Load both results, and their tables with the images in one order.

    Raises:
        ValueError: A file is no result file, their images or settings differ.
    """
    (one, first), (two, second) = load_result(first_path), load_result(second_path)
    for key in ('bins', 'mode', 'protocol'):
        if one['settings'].get(key) != two['settings'].get(key):
            raise ValueError(
                f'{key} is {one["settings"].get(key)!r} in {first_path} but '
                f'{two["settings"].get(key)!r} in {second_path}'
            )
    rows = [_rows(first, first_path), _rows(second, second_path)]
    odd = sorted(rows[0].keys() ^ rows[1].keys())
    if odd:
        raise ValueError(
            f'{len(odd)} images are in one file only, such as {odd[:3]}: evaluate both '
            'models on the same images'
        )
    order = sorted(rows[0])
    tables = [
        images.take([found[name] for name in order])
        for images, found in zip((first, second), rows)
    ]
    for table in tables:
        table.names = order
    pixels = tables[0].num_pixels != tables[1].num_pixels
    if pixels.any():
        name = order[int(pixels.argmax())]
        raise ValueError(f'{name} has another number of pixels in each file')
    return (one, two), tables


def _rows(images, path):
    """Find the row of each image by its stem, or by its path where stems repeat."""
    names = [PurePath(name).stem for name in images.names]
    if len(set(names)) < len(names):
        names = images.names
    if len(set(names)) < len(names):
        raise ValueError(f'{path}: the same image is in it more than once')
    return {name: row for row, name in enumerate(names)}


if __name__ == '__main__':
    sys.exit(main())
