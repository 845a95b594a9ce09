"""The command ``mmaslp``: one module per subcommand, imported when it is asked for.

A subcommand is a line in :data:`COMMANDS` and a module of that name (with ``_`` for
``-``). Its docstring is the description in ``--help``, with an example. It offers
``add_arguments(parser)`` and ``run(args)``, which returns an exit code or None for 0.
It may offer ``kept(args)``: what an interruption leaves and how to go on.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from .. import register_components
from ..version import __version__
from .errors import exit_code_of
from .parser import CommandParser

__all__ = ['COMMANDS', 'main', 'run_command']

# From the name to what the overview says.
COMMANDS = {
    'train': 'train a segmentor',
    'test': 'test one: calibration, SOD measures, IoU, on several sets',
    'eval-maps': 'measure probability maps on disk, of any model',
    'compare': 'compare two results by a paired bootstrap over images',
    'fit-temperature': 'fit the temperature of a checkpoint',
    'recalibrate': 'fit temperatures on maps on disk, or apply them',
    'show-levels': 'show images with low and high levels of a training',
    'prepare': 'bring downloaded data into the layout of the configs',
    'demo': 'train with BCE and with ASLP on built-in data, and compare',
    'doctor': 'say whether the environment, or a config, works',
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``mmaslp``.

    Args:
        argv (Sequence[str], optional): The subcommand and its arguments. Defaults to
            None: those of the command line.

    Returns:
        int: The exit code: 0 done, 1 failed, 2 the input was refused.

    Raises:
        SystemExit: With ``--help``, ``--version`` or arguments that do not parse.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv and argv[0] in COMMANDS:
        return run_command(argv[0], argv[1:])
    parser = CommandParser(
        prog='mmaslp',
        description='Calibrated binary segmentation: train, measure, compare.',
        epilog='`mmaslp COMMAND --help` shows the arguments of a command with an '
        'example. Start with `mmaslp doctor`.',
    )
    parser.add_argument('--version', action='version', version=f'mmaslp {__version__}')
    group = parser.add_subparsers(
        metavar='COMMAND', dest='command', required=True, title='commands'
    )
    for name, summary in COMMANDS.items():
        group.add_parser(name, help=summary)
    return run_command(parser.parse_args(argv).command, [])


def run_command(name: str, argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        name (str): Of :data:`COMMANDS`.
        argv (Sequence[str], optional): Its arguments. Defaults to None: those of the
            command line.

    Returns:
        int: See :func:`main`.

    Raises:
        SystemExit: See :func:`main`.
    """
    command = _load(name)
    parser = CommandParser(prog=f'mmaslp {name}', description=command.__doc__)
    command.add_arguments(parser)
    args = parser.parse_args(argv)
    return exit_code_of(lambda: command.run(args))


def _load(name: str) -> ModuleType:
    register_components()
    return import_module(f'.{name.replace("-", "_")}', __name__)
