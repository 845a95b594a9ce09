#!/usr/bin/env python
"""Train the demo network with BCE and with ASLP, and compare their calibration."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmaslp.apis.demo import MODELS, run_demo

ROOT = Path(__file__).resolve().parents[1]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work-dir', default='work_dirs/demo', type=Path)
    parser.add_argument('--epochs', default=100, type=int)
    parser.add_argument(
        '--models', nargs='+', choices=list(MODELS), default=['BCE', 'ASLP-FB-border']
    )
    args = parser.parse_args(argv)
    run_demo(ROOT, args.work_dir, models=args.models, epochs=args.epochs)


if __name__ == '__main__':
    main()
