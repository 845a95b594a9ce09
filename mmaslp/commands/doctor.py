"""Say whether mmaslp will work here: MMSegmentation, versions, known faults.

With a config also what does not work or is measured wrongly. Each finding comes with
the command to run or the line to change. The exit code is 1 if there is an error.

Example:
    mmaslp doctor mmaslp::demo/aslp_mc.py
"""

import argparse

from .arguments import CONFIG_HELP


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('config', nargs='?', help=CONFIG_HELP)


def run(args: argparse.Namespace) -> int:
    """Print the findings; 1 if there is an error."""
    from .. import register_components
    from ..integrations.mmseg.doctor import examine

    register_components()
    findings = examine(args.config)
    print(*findings, sep='\n')
    errors = sum(finding.level == 'error' for finding in findings)
    print(f'{errors} error{"" if errors == 1 else "s"}')
    return 1 if errors else 0
