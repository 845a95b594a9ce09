"""Write the sections of the commands in docs/commands.md, from their parsers.

    python docs/write_commands.py

What stands before the first of them is written by hand, and stays.
"""

import argparse
import inspect
import re
from importlib import import_module
from pathlib import Path

from mmaslp.commands import COMMANDS
from mmaslp.commands.arguments import CommandParser

PAGE = Path(__file__).resolve().parent / 'commands.md'
FIRST = '## mmaslp '


def page() -> str:
    """Text of the page."""
    head = PAGE.read_text(encoding='utf-8').partition(FIRST)[0]
    return head + '\n'.join(map(section, COMMANDS))


def section(name: str) -> str:
    """Description, example and arguments of one command."""
    command = import_module(f'mmaslp.commands.{name.replace("-", "_")}')
    parser = CommandParser(add_help=False)
    command.add_arguments(parser)
    text, _, example = inspect.cleandoc(command.__doc__).partition('\nExample:\n')
    rows = [row(action) for action in parser._actions]
    table = ['| argument | meaning |', '|---|---|', *rows]
    return '\n'.join([f'{FIRST}{name}', '', text, example, '', *table, ''])


def row(action: argparse.Action) -> str:
    """Row of an argument, as `--help` shows it."""
    names = ', '.join(f'`{name}`' for name in action.option_strings)
    several = ' ...' if action.nargs in ('+', '*') else ''
    if action.choices:
        value = ' \\| '.join(map(str, action.choices))
    elif action.nargs == 0:
        value = ''
    else:
        metavar = action.metavar or action.dest.upper()
        value = ' '.join([metavar] if isinstance(metavar, str) else metavar)
    if not names:
        names, value = f'`{value}`' if not action.choices else value, ''
    if action.nargs == '?':
        names = f'[{names}]'
    meaning = re.sub(r'([|\[_])', r'\\\1', action.help or '')
    default = action.default
    told = 'default' in meaning or default in (None, False, argparse.SUPPRESS, '')
    if not told and action.option_strings:
        meaning = f'{meaning}; default {default}'.lstrip('; ')
    return f'| {names} {value}{several} | {meaning} |'.replace('  ', ' ')


if __name__ == '__main__':
    PAGE.write_text(page(), encoding='utf-8')
