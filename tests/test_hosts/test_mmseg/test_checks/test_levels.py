import re

import pytest

from mmaslp.hosts.mmseg.checks.levels import start_level


@pytest.mark.parametrize(
    ('alpha', 'of_losses', 'learns', 'level'),
    [
        (None, [0.0, 0.0], True, 0.0),
        (0.2, [0.0], True, 0.2),
        (0.2, [0.2], False, 0.2),
        (None, [0.3, 0.3], False, 0.3),
    ],
)
def test_levels_that_nobody_has_to_be_told_of(alpha, of_losses, learns, level):
    assert start_level(alpha, of_losses, learns) == (level, [])


@pytest.mark.parametrize(
    ('alpha', 'of_losses', 'learns', 'level', 'words'),
    [
        (None, [0.1], True, 0.0, 'has the level 0.1 .* every image starts with 0:'),
        (0.2, [0.0, 0.1], False, 0.2, 'has the level 0.1 .* starts with 0.2:'),
        (None, [0.0], False, 0.0, 'with the level 0 perturbs no label'),
    ],
)
def test_levels_that_are_said(alpha, of_losses, learns, level, words):
    found, (warning,) = start_level(alpha, of_losses, learns)
    assert found == level
    assert re.search(words, warning)
