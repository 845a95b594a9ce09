"""Measure the calibration of probability maps on disk, from any model.

Example:
    python tools/eval_maps.py maps/ISNet masks --json isnet.json --plot isnet.pdf
"""

import argparse
import sys
from pathlib import Path

import torch

from mmaslp.core.calibration import check_bins
from mmaslp.evaluation.map_folder import evaluate_maps
from mmaslp.evaluation.protocol import PROTOCOLS
from mmaslp.evaluation.results import save_result
from mmaslp.visualization.reliability import FORMATS, reliability_figure, save_figure
from mmaslp.visualization.report import write_report
from mmaslp.visualization.text_table import format_table


def parse_args(argv=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Calibration of probability maps on disk: 8-bit and 16-bit '
        'images (value / 255, value / 65535) and .npy of floats in [0, 1], matched '
        'to binary masks by name.'
    )
    parser.add_argument(
        'pred_dir', nargs='+', help='folder of maps; several: one row per folder'
    )
    parser.add_argument('gt_dir', help='folder of masks')
    parser.add_argument('--json', metavar='FILE', help='write all metrics')
    parser.add_argument(
        '--plot', metavar='FILE', help='write reliability diagrams (.png, .pdf, .svg)'
    )
    parser.add_argument('--report', metavar='FILE', help='write an HTML report')
    parser.add_argument(
        '--protocol',
        choices=PROTOCOLS,
        default='raw',
        help="'released' stretches every map to [0, 1] first, as published numbers "
        'are computed; it changes the probabilities that are measured',
    )
    parser.add_argument('--bins', type=int, default=10, help='defaults to 10')
    parser.add_argument('--sod', action='store_true', help='F-, E-, S-measure, MAE')
    parser.add_argument(
        '--resamples', type=int, default=1000, help='bootstrap, defaults to 1000'
    )
    parser.add_argument(
        '--worst', type=int, default=6, help='images in the report, defaults to 6'
    )
    parser.add_argument('--images', help='folder of the photographs, for the report')
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
        _check(args)
        sections = {
            name: evaluate_maps(
                folder,
                args.gt_dir,
                bins=args.bins,
                protocol=args.protocol,
                sod=args.sod,
                resamples=args.resamples,
                keep_worst=args.worst if args.report else 0,
            )
            for name, folder in _names(args.pred_dir).items()
        }
        _print(sections)
        _write(args, sections)
    except (ValueError, ImportError, OSError) as error:
        print(f'eval_maps: {error}', file=sys.stderr)
        return 1
    return 0


def _check(args):
    """Refuse what would fail after the work is done."""
    check_bins(args.bins)
    if args.resamples < 0 or args.worst < 0:
        raise ValueError('--resamples and --worst must not be negative')
    if args.plot and not args.plot.lower().endswith(FORMATS):
        raise ValueError(f'--plot {args.plot}: write one of {", ".join(FORMATS)}')
    for name in ('json', 'plot', 'report'):
        path = getattr(args, name)
        if path and not Path(path).resolve().parent.is_dir():
            raise ValueError(f'--{name} {path}: its folder does not exist')
    if args.images and not Path(args.images).is_dir():
        raise ValueError(f'--images {args.images}: no such folder')


def _names(folders):
    """Name each folder by its last part, or by its path where these are the same."""
    names = [Path(folder).resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    if len({Path(folder).resolve() for folder in folders}) < len(folders):
        raise ValueError('the same folder of maps is named twice')
    return dict(zip(names, folders))


def _print(sections):
    rows = {name: section['result'] for name, section in sections.items()}
    print(format_table(rows))
    measures = {name: section['metrics'] for name, section in sections.items()}
    if any(measures.values()):
        keys = list(next(iter(measures.values())))
        print('\n' + format_table(measures, keys))


def _write(args, sections):
    results = {name: section['result'] for name, section in sections.items()}
    if args.json:
        content = {
            name: {**section['metrics'], **section['result']}
            for name, section in sections.items()
        }
        if len(content) == 1:
            (content,) = content.values()
        save_result(args.json, content)
    if args.plot:
        save_figure(reliability_figure(results), args.plot)
    if args.report:
        photos = {p.stem: p for p in Path(args.images or '.').iterdir()}
        for section in sections.values():
            section['images'] = photos if args.images else {}
        write_report(args.report, sections, vars(args), mean=False)


if __name__ == '__main__':
    torch.set_num_threads(1)
    sys.exit(main())
