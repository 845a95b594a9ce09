"""Say whether the plugin will work here: the host, versions, known incompatibilities.

With a config also what does not work or is measured wrongly. Each finding comes with
the command to run or the line to change. The exit code is 1 if there is an error.

Example:
    mmaslp doctor mmaslp::demo/aslp_mc.py
"""

import argparse

from ..doctor import diagnose

__all__ = ['add_arguments', 'run']


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('config', nargs='?', help='config file to check')


def run(args: argparse.Namespace) -> int:
    """Print the findings."""
    return diagnose(args.config)
