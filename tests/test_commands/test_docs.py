"""docs/commands.md names every command, argument and exit code."""

import re
from pathlib import Path

import pytest

from mmaslp.commands import COMMANDS, main
from mmaslp.commands.errors import DONE, FAILED, REFUSED

PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'commands.md'


@pytest.fixture(scope='module')
def sections():
    """Text of each section by its headline."""
    parts = re.split(r'^## (.*)\n', PAGE.read_text(encoding='utf-8'), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


@pytest.mark.parametrize('name', COMMANDS)
def test_arguments(name, sections, capsys):
    with pytest.raises(SystemExit):
        main([name, '--help'])
    shown = capsys.readouterr().out
    options = set(re.findall(r'^  (?:-\w[^,\n]*, )?(--[\w-]+)', shown, re.M))
    assert len(options) >= 2
    listed = set(re.findall(r'`(--[\w-]+)`', sections[f'mmaslp {name}']))
    # What every command has is said once.
    assert options - {'--help', '--quiet'} == listed & options
    assert not {word for word in listed if word not in shown}


def test_exit_codes(sections):
    codes = re.findall(r'^\| (\d)', sections['Exit codes'], re.M)
    assert list(map(int, codes[:3])) == [DONE, FAILED, REFUSED]
