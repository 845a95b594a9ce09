"""Every command and option that README and docs show is one that `--help` knows."""

import re
import shlex

import pytest

from mmaslp.commands import COMMANDS
from mmaslp.commands.arguments import CommandParser
from tests.test_docs.test_pages import DOCS, PAGES, ROOT

FENCED = re.compile(r'^```(?:sh|console)?\n(.*?)^```', re.MULTILINE | re.DOTALL)

# What files say of themselves.
FORMAT = re.compile(r'mmaslp (result|comparison|drift|test|calibrator)( \d+)?')


def options_of(command):
    """Option strings of a command of ours."""
    from importlib import import_module

    module = import_module(f'mmaslp.commands.{command.replace("-", "_")}')
    parser = CommandParser(prog=command)
    module.add_arguments(parser)
    known = {name for action in parser._actions for name in action.option_strings}
    return known | {'--quiet', '--help'}


OPTIONS = {command: options_of(command) for command in COMMANDS}


def shown_commands(path):
    """Words of the lines of code that call mmaslp, also within a sentence."""
    text = path.read_text(encoding='utf-8')
    lines = re.findall(r'^    (?:.*&& )?(mmaslp .*)$', text, re.MULTILINE)
    for block in FENCED.findall(text):
        lines += re.findall(r'^(mmaslp .*)$', block, re.MULTILINE)
    lines += re.findall(r'`(mmaslp [^`\n]*)`', text)
    joined = text.replace('\\\n', ' ')
    lines += re.findall(r'^    (mmaslp .*)$', joined, re.MULTILINE)
    for line in lines:
        line = line.replace('...', '').rstrip('\\').split(' && ')[0]
        try:
            yield line, shlex.split(line, comments=True)[1:]
        except ValueError:
            yield line, line.split()[1:]


@pytest.mark.parametrize('path', PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_and_options_exist(path):
    for line, words in shown_commands(path):
        if not words or words[0].startswith(('-', 'COMMAND', '{')):
            continue
        if FORMAT.fullmatch(line):
            continue
        assert words[0] in COMMANDS, line
        for word in words[1:]:
            if word.startswith('--'):
                name = word.split('=')[0].rstrip(',.;:')
                assert name in OPTIONS[words[0]], f'{line}: {name}'


def test_the_test_sees_commands():
    seen = [line for path in PAGES for line, _ in shown_commands(path)]
    assert len(seen) > 60
    assert any('--fail-if-worse' in line for line in seen)


def test_options_in_sentences_exist():
    every = set().union(*OPTIONS.values())
    foreign = {'--npz', '--save_probabilities', '--resume', '--launcher', '--shm-size'}
    for path in (ROOT / 'README.md', DOCS / 'maps.md', DOCS / 'production.md'):
        text = path.read_text(encoding='utf-8')
        for name in re.findall(r'`(--[a-z][a-z_-]+)', text):
            assert name in every | foreign, f'{path.name}: {name}'
