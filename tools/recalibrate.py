#!/usr/bin/env python
"""Fit temperatures on probability maps on disk, of any model, or apply them.

Example:
    python tools/recalibrate.py val_maps val_masks --fit t.json --regions border
    python tools/recalibrate.py test_maps --with t.json --out test_maps_t
"""

import argparse
from collections.abc import Sequence

import torch

from mmaslp.apis.cli import exit_on_user_error
from mmaslp.apis.recalibration import find_temperature, fit_maps, recalibrate_maps
from mmaslp.apis.temperature import REGIONS
from mmaslp.core.calibration.border_temperature import temperature_text


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Temperature scaling of probability maps on disk: 8-bit and '
        '16-bit images (value / 255, value / 65535) and .npy of floats in [0, 1]'
    )
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
    parser.add_argument('--out', metavar='DIR', help='with --with: where to write')
    args = parser.parse_args(argv)
    fits = args.fit is not None
    for name, given, wanted in (
        ('MASKS', args.masks is not None, fits),
        ('--out', args.out is not None, not fits),
    ):
        if wanted and not given:
            parser.error(f'{"--fit" if fits else "--with"} needs {name}')
        if given and not wanted:
            parser.error(f'{"--fit" if fits else "--with"} takes no {name}')
    if args.regions and not fits:
        parser.error('--with takes no --regions: it takes those of the file')
    if args.single_temperature and fits:
        parser.error('--fit takes no --single-temperature')
    return args


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    if args.fit is not None:
        fit_maps(args.maps, args.masks, args.fit, args.regions)
        print(f'written to {args.fit}')
        return
    temperature = find_temperature(args.temperature, not args.single_temperature)
    number = recalibrate_maps(args.maps, args.out, temperature)
    print(
        f'{number} maps written to {args.out}, temperature '
        f'{temperature_text(temperature)}'
    )


if __name__ == '__main__':
    torch.set_num_threads(1)
    main()
