"""Write docs/api/commands.md, the arguments of all commands, from their parsers.

    python docs/write_commands.py

A test holds the page up to date.
"""

import argparse
import inspect
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from mmaslp.commands import COMMANDS
from mmaslp.commands.arguments import (
    CommandParser,
    add_map_options,
    add_overwrite,
    add_run_options,
)

PAGE = Path(__file__).resolve().parent / 'api' / 'commands.md'
HEAD = """# Arguments of all commands

`python docs/write_commands.py` writes this page from the parsers.
[Commands](../commands.md) has exit codes, and what happens to files.

## Options of several commands
"""
GROUPS = {'options of maps': add_map_options, 'options of runs': add_run_options}

# The first name of an option in its line.
NAME = re.compile(r'- `([\w-]+)')


def page() -> str:
    """Text of the page."""
    lines = [HEAD, *lines_of(add_overwrite), '']
    for title, add in GROUPS.items():
        lines += [f'{title.capitalize()}:', '', *lines_of(add), '']
    for name in COMMANDS:
        lines += section(name)
    return '\n'.join(lines)


def section(name: str) -> list[str]:
    """Lines of one command: description, example, its arguments, those it shares."""
    command = import_module(f'mmaslp.commands.{name.replace("-", "_")}')
    text, _, example = inspect.cleandoc(command.__doc__).partition('\nExample:\n')
    own = lines_of(command.add_arguments)
    adders = (add_overwrite, *GROUPS.values())
    given = dict.fromkeys(line for add in adders for line in lines_of(add))
    shared = [line for line in given if line in own]
    also = []
    for title, add in GROUPS.items():
        group = lines_of(add)
        if set(group) <= set(own):
            also.append(title)
            shared = [line for line in shared if line not in group]
            own = [line for line in own if line not in group]

    also += [f'`{NAME.match(line)[1]}`' for line in shared]
    lines = [f'## mmaslp {name}', '', text, example, '']
    lines += [line for line in own if line not in shared]
    return [*lines, '', f'Also: {", ".join(also)}.', ''] if also else [*lines, '']


def lines_of(add: Callable[[CommandParser], None]) -> list[str]:
    """A line for each argument that a function adds to a parser."""
    parser = CommandParser(add_help=False)
    add(parser)
    shown = [a for a in parser._actions if a.help != argparse.SUPPRESS]
    return [line_of(action) for action in shown]


def line_of(action: argparse.Action) -> str:
    """An argument and its meaning, as `--help` shows them."""
    value = action.metavar or action.dest.upper()
    if action.choices:
        value = '|'.join(map(str, action.choices))
    if action.nargs == 0:
        value = ''
    several = ' ...' if action.nargs in ('+', '*') else ''
    usage = f'{", ".join(action.option_strings)} {value}{several}'.strip()

    meaning = re.sub(r'([\[_])', r'\\\1', action.help or '')
    default = action.default
    if isinstance(default, list):
        default = ' '.join(default)
    stated = 'default' in meaning or default in (None, False, argparse.SUPPRESS)
    if action.option_strings and not stated:
        meaning = f'{meaning}; default {default}'.lstrip('; ')
    return f'- `{usage}`: {meaning}'


if __name__ == '__main__':
    PAGE.write_text(page(), encoding='utf-8')
