"""Ways to divide scores into bins: equal width, equal mass, sweep."""

import numpy as np

from ..argument_checks import check_integer
from .bin_table import BinTable, ratio
from .score_table import ScoreTable

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


def sweep(table: ScoreTable) -> BinTable:
    """Equal mass with the largest number of bins whose accuracies ascend.

    As in Roelofs et al. 2022, the number of bins grows from 1 until the accuracies are
    no longer monotone. The result has the last number before that. Each candidate costs
    two look-ups in prefix sums per bin. If the accuracies of the scores themselves
    ascend, every partition is monotone and each score is its own bin.
    """
    if _ascends(table.correct, table.count):
        return table.grouped(np.arange(len(table.count)), len(table.count))
    return equal_mass(table, _sweep_bins(table))


def _sweep_bins(table: ScoreTable) -> int:
    """Largest number of equal-mass bins before the accuracies fall."""
    before, hits = (
        np.concatenate([[0], np.cumsum(each)]) for each in (table.count, table.correct)
    )
    total = table.total
    most = min(MAX_SWEEP_BINS, total)
    for number in range(2, most + 1):
        rank = -(-np.arange(number + 1) * total // number)
        cut = np.searchsorted(before, rank)
        if not _ascends(np.diff(hits[cut]), np.diff(before[cut])):
            return number - 1
    return max(most, 1)


def _ascends(correct: np.ndarray, count: np.ndarray) -> bool:
    """Whether accuracies of ``(B,)`` bins never fall; empty bins do not count."""
    accuracy = ratio(correct, count)
    highest = np.fmax.accumulate(accuracy)
    return bool(np.all(np.isnan(accuracy) | (accuracy >= highest)))
