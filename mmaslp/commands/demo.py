"""Train a network with BCE and with levels by band on built-in data, and compare them.

It takes four to ten minutes on two cores. --maps needs no MMSegmentation and takes
seconds: built-in maps of an over-confident network are measured and calibrated.

Example:
    mmaslp demo --maps
"""

import argparse
from pathlib import Path

from .arguments import CommandParser, need_mmseg

MODELS = ('BCE', 'border levels', 'image levels, MC')


def add_arguments(parser: CommandParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add('--work-dir', default='work_dirs/demo', type=Path, help='where to write')
    add('--epochs', default=150, type=int, help='length of each training')
    add('--seed', default=0, type=int, help='of the weights and of the order of images')
    add(
        '--models',
        nargs='+',
        choices=MODELS,
        default=['BCE', 'border levels'],
        help='what to train and compare',
    )
    add('--maps', action='store_true', help='measure and calibrate built-in maps')
    add('--overwrite', action='store_true', help='replace an earlier demo there')
    parser.idle('with --maps', lambda args: args.maps, 'epochs', 'models', 'seed')


def run(args: argparse.Namespace) -> None:
    """Run the demo."""
    if args.maps:
        _show_maps(args.work_dir)
        return
    need_mmseg('mmaslp demo without --maps')
    from ..common.arguments import check_integer
    from ..integrations.mmseg.demo import run_demo

    check_integer('--epochs', args.epochs, at_least=1)
    check_integer('--seed', args.seed, at_least=0)
    run_demo(
        args.work_dir,
        models=args.models,
        epochs=args.epochs,
        seed=args.seed,
        overwrite=args.overwrite,
        quiet=args.quiet,
    )


def _show_maps(folder: Path) -> None:
    """Print the three commands of the first door as they run."""
    from ..files.synthetic import write_demo_maps
    from . import run_command

    val, test = (write_demo_maps(folder, split) for split in ('val', 'test'))
    calibrator = folder / 'calibrator.json'
    out = folder / 'test' / 'calibrated'
    for words in (
        ('fit', *val, '--out', calibrator),
        ('apply', calibrator, test[0], '--out', out),
        ('eval-maps', test[0], out, test[1], '--plot', folder / 'maps.png'),
    ):
        print(f'\n$ mmaslp {" ".join(map(str, words))}')
        if run_command(words[0], [*map(str, words[1:])]):
            raise ValueError(f'mmaslp {words[0]} ended with an error, see above')
