"""Say whether mmaslp will work here: MMSegmentation, versions, known faults.

With a config also what does not work or is measured wrongly. Each finding comes with
the command to run or the line to change. The exit code is 1 if there is an error.

Example:
    mmaslp doctor mmaslp::demo/aslp_mc.py
"""

import argparse
from collections import Counter

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
    counts = Counter(finding.level for finding in findings)
    numbers = [
        f'{counts[level]} {level}{"" if counts[level] == 1 else "s"}'
        for level in ('error', 'warning', 'note')
        if counts[level] or level == 'error'
    ]
    print(f'{", ".join(numbers)}; nothing was trained')
    return 1 if counts['error'] else 0
