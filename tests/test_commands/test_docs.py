"""docs/commands.md is what docs/write_commands.py makes of the parsers."""

import re
import sys
from importlib import import_module
from pathlib import Path

from mmaslp.commands.errors import DONE, FAILED, REFUSED

DOCS = Path(__file__).resolve().parents[2] / 'docs'


def test_the_page_holds_the_arguments_of_today(monkeypatch):
    monkeypatch.setattr(sys, 'path', [str(DOCS), *sys.path])
    written = (DOCS / 'commands.md').read_text(encoding='utf-8')
    assert import_module('write_commands').page() == written


def test_exit_codes():
    page = (DOCS / 'commands.md').read_text(encoding='utf-8')
    codes = re.findall(r'^\| (\d)', page, re.M)
    assert list(map(int, codes[:3])) == [DONE, FAILED, REFUSED]
