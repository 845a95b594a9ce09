"""Fit temperatures on probability maps on disk, of any model, or apply them.

Maps are 8-bit and 16-bit images (value / 255, value / 65535) and .npy of floats in
[0, 1].

Example:
    mmaslp recalibrate val_maps val_masks --fit t.json --regions border
    mmaslp recalibrate test_maps --with t.json --out test_maps_t
"""

import argparse

from ..core.measure.border_temperature import temperature_text
from ..hosts.mmseg.temperature import REGIONS
from ..report.recalibration import find_temperature, fit_maps, recalibrate_maps
from .parser import add_max_value
from .threads import one_thread

__all__ = ['add_arguments', 'run']


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('maps', help='folder of maps')
    parser.add_argument('masks', nargs='?', help='folder of masks, for --fit')
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        '--fit', metavar='FILE', help='fit a temperature and write it to this file'
    )
    what.add_argument(
        '--with',
        dest='temperature',
        metavar='T|FILE',
        help='write maps of sigmoid(z / T), T a number or that of a file; by region '
        'where the file has that',
    )
    parser.add_argument(
        '--regions',
        choices=REGIONS,
        help='with --fit: a temperature per band of distance from the predicted '
        'border too',
    )
    parser.add_argument(
        '--single-temperature',
        action='store_true',
        help='with --with: the single temperature of a file that has them by region',
    )
    add_max_value(parser)
    parser.add_argument('--out', metavar='DIR', help='with --with: where to write')


def run(args: argparse.Namespace) -> None:
    """Fit, or write the maps."""
    _check(args)
    with one_thread():
        if args.fit is not None:
            fit_maps(
                args.maps,
                args.masks,
                args.fit,
                args.regions,
                max_value=args.max_value,
            )
            print(f'written to {args.fit}')
            return
        temperature = find_temperature(args.temperature, not args.single_temperature)
        number = recalibrate_maps(args.maps, args.out, temperature, args.max_value)
    print(
        f'{number} maps written to {args.out}, temperature '
        f'{temperature_text(temperature)}'
    )


def _check(args: argparse.Namespace) -> None:
    """Refuse arguments that belong to the other of ``--fit`` and ``--with``."""
    fits = args.fit is not None
    mode = '--fit' if fits else '--with'
    for name, given, wanted in (
        ('MASKS', args.masks is not None, fits),
        ('--out', args.out is not None, not fits),
    ):
        if wanted and not given:
            raise ValueError(f'{mode} needs {name}')
        if given and not wanted:
            raise ValueError(f'{mode} takes no {name}')
    if args.regions and not fits:
        raise ValueError('--with takes no --regions: it takes those of the file')
    if args.single_temperature and fits:
        raise ValueError('--fit takes no --single-temperature')
