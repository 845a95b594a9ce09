"""Hypothesis, or a skip for each test that needs it where it is not installed.

``pytest.importorskip`` at the top of a module would skip its other tests too.
"""

import pytest

try:
    from hypothesis import given, settings
    from hypothesis import strategies as st
except ImportError:
    from unittest.mock import MagicMock

    st = MagicMock()

    def given(*strategies, **named):
        return pytest.mark.skip(reason='needs hypothesis')

    settings = given

__all__ = ['given', 'settings', 'st']
