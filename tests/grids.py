"""Grids of cases: a pair of each value in `make test`, all in `make release-test`."""

from itertools import product

import pytest


def pairs(*axes):
    """The full grid of some axes.

    Each value of each axis is in at least one row that always runs; the other rows have
    the mark ``release``.
    """
    longest = max(map(len, axes))
    always = {tuple(axis[i % len(axis)] for axis in axes) for i in range(longest)}
    return [
        row if row in always else pytest.param(*row, marks=pytest.mark.release)
        for row in product(*axes)
    ]
