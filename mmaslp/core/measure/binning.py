"""Ways to divide scores into bins: equal width, equal mass, sweep."""

import numpy as np

from ..argument_checks import check_integer
from .bin_table import BinTable, ratio
from .score_table import ScoreTable

__all__ = [
    'check_bins',
    'equal_mass',
    'equal_mass_rows',
    'equal_width',
    'sweep',
]

# More equal-width bins say no more, and every image keeps a row of them.
MAX_BINS = 4096
# Finer equal-mass partitions add no information; the limit bounds the sweep's time.
MAX_SWEEP_BINS = 4096


def check_bins(bins: int) -> None:
    """Refuse an invalid number of bins."""
    check_integer('bins', bins, at_least=1, at_most=MAX_BINS)


def equal_width(table: ScoreTable, bins: int) -> BinTable:
    """Divide [0, 1] into ``bins`` intervals (lo, hi] of equal width; 0 is in the first.

    The edges are compared in integers. So a score exactly on k / bins belongs to the
    interval below, for every number of bins.
    """
    group = (table.score * bins + table.unit - 1) // table.unit - 1
    return table.grouped(np.maximum(group, 0), bins)


def equal_mass(table: ScoreTable, bins: int) -> BinTable:
    """Divide the sorted pixels into ``bins`` equal parts; ties stay together.

    The edges are the k / bins quantiles of the scores and the intervals are (lo, hi]: a
    score goes to the bin of its first pixel, ``floor(bins * rank / N)``. If more than N
    / bins pixels share a score, some bins stay empty.
    """
    if not len(table.count):
        return table.grouped(np.zeros(0, np.int64), 0)
    before = np.cumsum(table.count) - table.count
    group = before * bins // table.total
    _, group = np.unique(group, return_inverse=True)
    return table.grouped(group, int(group[-1]) + 1)


def equal_mass_rows(table: BinTable, bins: int) -> BinTable:
    """:func:`equal_mass` of every row, with the bins of the table as scores."""
    sums = (table.count, table.correct, table.conf)
    before, *others = (_prefix_sums(each) for each in sums)
    total = table.total
    cut = _mass_cuts(before, np.cumsum(total) - total, total, bins)
    return BinTable(*(np.diff(each[cut]) for each in (before, *others)))


def sweep(table: ScoreTable, max_bins: int = MAX_SWEEP_BINS) -> BinTable:
    """Equal mass with the largest number of bins whose accuracies ascend.

    As in Roelofs et al. 2022, the number of bins grows from 1 until the accuracies are
    no longer monotone. The result has the last number before that. Each candidate costs
    two look-ups in prefix sums per bin. If the accuracies of the scores themselves
    ascend, every partition is monotone and each score is its own bin.
    """
    if _ascends(table.correct, table.count):
        return table.grouped(np.arange(len(table.count)), len(table.count))
    return equal_mass(table, _sweep_bins(table, max_bins))


def _sweep_bins(table: ScoreTable, max_bins: int) -> int:
    """Largest number of equal-mass bins before the accuracies fall."""
    before, hits = (_prefix_sums(each) for each in (table.count, table.correct))
    start, total = np.zeros(1, np.int64), np.array([table.total])
    for number in range(2, min(max_bins, int(table.total)) + 1):
        cut = _mass_cuts(before, start, total, number)
        if not _ascends(np.diff(hits[cut]), np.diff(before[cut]))[0]:
            return number - 1
    return max(min(max_bins, int(table.total)), 1)


def _mass_cuts(
    before: np.ndarray, start: np.ndarray, total: np.ndarray, bins: int
) -> np.ndarray:
    """Where equal-mass parts begin and end."""
    rank = -(-np.arange(bins + 1) * total[:, None] // bins)
    return np.searchsorted(before, start[:, None] + rank)


def _prefix_sums(values: np.ndarray) -> np.ndarray:
    """``(R * K + 1,)`` running sum of ``(R, K)`` values over all rows, from 0."""
    return np.concatenate([np.zeros(1, values.dtype), np.cumsum(values)])


def _ascends(correct: np.ndarray, count: np.ndarray) -> np.ndarray:
    """``(...)`` whether accuracies of ``(..., B)`` never fall; empty bins do not."""
    accuracy = ratio(correct, count)
    highest = np.fmax.accumulate(accuracy, -1)
    return np.all(np.isnan(accuracy) | (accuracy >= highest), -1)
