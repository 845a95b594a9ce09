import io
import sys

import pytest

from mmaslp.files import progress
from mmaslp.files.progress import track


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Make stderr a terminal; in the test itself, before which pytest replaces it."""

    def make(shown):
        monkeypatch.setattr(progress, 'DELAY', 0)
        monkeypatch.setattr(progress, 'enabled', shown)
        monkeypatch.setattr(sys, 'stderr', Terminal())
        return sys.stderr

    return make


def test_functions_are_silent(terminal):
    terminal = terminal(shown=False)
    assert list(track([1, 2], 'counting')) == [1, 2]
    assert terminal.getvalue() == ''


def test_time_left_and_no_trace(terminal):
    terminal = terminal(shown=True)
    assert list(track(iter([1, 2]), 'counting', total=2)) == [1, 2]
    assert list(track({'a': 1}.items(), 'naming')) == [('a', 1)]
    text = terminal.getvalue()
    assert 'counting' in text
    assert '0/2' in text
    assert '0/1' in text
    assert '<' in text
    assert text.rstrip('\r').endswith(' ')  # the line is wiped


def test_a_closed_stderr_is_no_terminal(monkeypatch):
    monkeypatch.setattr(progress, 'enabled', True)
    monkeypatch.setattr(sys, 'stderr', None)
    assert list(track([1, 2], 'counting')) == [1, 2]
