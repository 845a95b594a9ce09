"""The command ``mmaslp``: one module per subcommand, imported when it is asked for.

A subcommand is a line in :data:`COMMANDS` and a module of that name (with ``_`` for
``-``). Its docstring is the description in ``--help``, with an example. It offers
``add_arguments(parser)`` and ``run(args)``, which returns an exit code or None for 0.
It may offer ``after_interrupt(args)``: what an interruption leaves and how to go on.
Importing it and ``add_arguments`` import neither torch nor MMSegmentation: help is
there at once.
"""

import argparse
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from io import TextIOWrapper
from types import ModuleType

from ..version import __version__
from .arguments import CommandParser
from .errors import exit_code_of, interrupted, with_options

__all__ = ['COMMANDS', 'main', 'run_command']

# From the name to what the overview says.
COMMANDS = {
    'train': 'train a network of MMSegmentation',
    'test': 'test one: calibration, IoU, SOD measures, on several sets',
    'eval-maps': 'measure probability maps on disk, of any model',
    'compare': 'compare two results: is one better, beyond chance?',
    'report': 'one page of several results: tables and diagrams',
    'fit': 'fit a calibrator to maps on disk, or to a checkpoint',
    'apply': 'apply a calibrator to maps on disk, write masks',
    'review': 'say which masks and objects to trust, the most doubtful first',
    'drift': 'compare new maps with the maps of a fit, for a check each night',
    'prepare': 'check the images and masks of a set, and divide it',
    'demo': 'train with BCE and levels on cell nuclei, calibrate, and compare',
    'doctor': 'say whether the environment, or a config, works',
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``mmaslp``."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv and argv[0] in COMMANDS:
        return run_command(argv[0], argv[1:])
    parser = CommandParser(
        prog='mmaslp',
        description='Calibrated binary segmentation: train, measure, compare.',
        epilog='`mmaslp COMMAND --help` shows the arguments of a command with an '
        'example. Start with `mmaslp demo`.',
    )
    parser.add_argument('--version', action='version', version=f'mmaslp {__version__}')
    group = parser.add_subparsers(
        metavar='COMMAND', dest='command', required=True, title='commands'
    )

    for name, summary in COMMANDS.items():
        group.add_parser(name, help=summary)
    return run_command(parser.parse_args(argv).command, [])


def run_command(
    name: str, argv: Sequence[str] | None = None, prog: str | None = None
) -> int:
    """Run one subcommand, under the name that its help shows."""
    try:
        command = import_module(f'.{name.replace("-", "_")}', __name__)
        args = _parsed(command, argv, prog or f'mmaslp {name}')
    except KeyboardInterrupt as stop:
        return interrupted(stop, lambda: 'nothing was done yet')

    after_interrupt = getattr(command, 'after_interrupt', None)
    return exit_code_of(
        partial(_run, command, args),
        config=getattr(args, 'config', None),
        folder_of=partial(_folder_of, args),
        after_interrupt=after_interrupt and partial(after_interrupt, args),
    )


def _parsed(
    command: ModuleType, argv: Sequence[str] | None, prog: str
) -> argparse.Namespace:
    """Read the arguments of a command; a word that it does not know ends it."""
    parser = CommandParser(prog=prog, description=command.__doc__)
    command.add_arguments(parser)
    parser.add_argument(
        '--quiet',
        action='store_true',
        help='results, warnings and errors only, in logs too',
    )
    args = parser.parse_args(argv)
    parser.check(args)
    return args


def _folder_of(args: argparse.Namespace) -> str | None:
    """What a command writes into, as far as its arguments tell."""
    folder = getattr(args, 'work_dir', None) or getattr(args, 'out', None)
    return None if folder is None else str(folder)


def _run(command: ModuleType, args: argparse.Namespace) -> int | None:
    from ..files import progress

    # Names are printed whatever the bytes in them.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    was_enabled = progress.enabled
    usual = warnings.formatwarning
    try:
        progress.enabled = not args.quiet
        warnings.formatwarning = _one_line
        with warnings.catch_warnings():  # some commands silence those of libraries
            return command.run(args)
    finally:
        progress.enabled = was_enabled
        warnings.formatwarning = usual


def _one_line(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """Write a warning as an error: without the place in our code."""
    return f'warning: {with_options(str(message))}\n'
