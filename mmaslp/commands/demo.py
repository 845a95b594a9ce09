"""Train the demo network with BCE and with ASLP, and compare their calibration.

The data are built in; about five minutes on two cores with the defaults.

Example:
    mmaslp demo --epochs 20
"""

import argparse
from pathlib import Path

__all__ = ['MODELS', 'add_arguments', 'run']

MODELS = ('BCE', 'ASLP-MC', 'ASLP-FB', 'ASLP-FB-border')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        '--work-dir', default='work_dirs/demo', type=Path, help='where to write'
    )
    parser.add_argument(
        '--epochs', default=100, type=int, help='length of each training'
    )
    parser.add_argument(
        '--models',
        nargs='+',
        choices=MODELS,
        default=['BCE', 'ASLP-FB-border'],
        help='what to train and compare',
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace the trainings of an earlier demo in the work directory',
    )


def run(args: argparse.Namespace) -> None:
    """Run the demo."""
    from ..core.argument_checks import check_integer
    from ..hosts.mmseg.demo import run_demo

    check_integer('--epochs', args.epochs, at_least=1)
    run_demo(
        args.work_dir,
        models=args.models,
        epochs=args.epochs,
        overwrite=args.overwrite,
        quiet=args.quiet,
    )
