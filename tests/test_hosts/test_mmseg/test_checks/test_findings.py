"""How a finding is said."""

import pytest

from mmaslp.hosts.mmseg.checks.findings import Finding


def test_level_must_be_known():
    with pytest.raises(ValueError, match='level must be one of'):
        Finding('fatal', 'x')
    assert (
        str(Finding('note', 'a', 'b\nc')) == 'note:    a\n         -> b\n         -> c'
    )


def test_exception_says_it_in_one_line():
    error = Finding('error', 'a', 'b\nc').exception()
    assert isinstance(error, ValueError) and str(error) == 'a -> b; c'
    assert str(Finding('error', 'a').exception()) == 'a'
