"""Train the demo network with BCE and with ASLP, and compare their calibration.

The data are built in; about four minutes on a laptop with the defaults.

Example:
    mmaslp demo --epochs 20
"""

import argparse
from pathlib import Path

from ..apis.demo import MODELS, run_demo

__all__ = ['add_arguments', 'run']


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('--work-dir', default='work_dirs/demo', type=Path)
    parser.add_argument('--epochs', default=100, type=int)
    parser.add_argument(
        '--models', nargs='+', choices=list(MODELS), default=['BCE', 'ASLP-MC']
    )


def run(args: argparse.Namespace) -> None:
    """Run the demo."""
    run_demo(args.work_dir, models=args.models, epochs=args.epochs, quiet=args.quiet)
