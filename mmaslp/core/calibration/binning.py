"""Ways to divide scores into bins: equal width, equal mass, sweep."""

import numpy as np

from .bin_table import BinTable, ratio

# Equal-mass partitions finer than this say nothing more; it bounds the sweep's time.
MAX_SWEEP_BINS = 4096


def check_bins(bins):
    """Refuse what is not a number of bins.

    Raises:
        ValueError: ``bins`` is not an integer above 0.
    """
    if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or bins < 1:
        raise ValueError(f'bins must be an integer of at least 1, not {bins!r}')


def equal_width(levels, bins):
    """Divide [0, 1] into ``bins`` intervals (lo, hi] of one width; 0 is in the first.

    The edges are compared in integers: a score exactly on k / bins belongs to the
    interval below, whatever the number of bins.

    Args:
        levels (ScoreLevels): The scores.
        bins (int): Number of bins.

    Returns:
        BinTable: of (bins,) sums; empty bins stay in it.
    """
    group = (levels.score * bins + levels.unit - 1) // levels.unit - 1
    return levels.grouped(np.maximum(group, 0), bins)


def equal_mass(levels, bins):
    """Divide the sorted pixels into ``bins`` parts of one size, ties kept together.

    The edges are the k / bins quantiles of the scores and the intervals are (lo, hi]: a
    level goes to the bin of its first pixel, ``floor(bins * rank / N)``. A level
    that holds more than N / bins pixels leaves bins empty.

    Args:
        levels (ScoreLevels): The scores.
        bins (int): Number of bins.

    Returns:
        BinTable: of at most ``bins`` sums, none of them empty.
    """
    if not len(levels.count):
        return levels.grouped(np.zeros(0, np.int64), 0)
    before = np.cumsum(levels.count) - levels.count
    group = before * bins // levels.total
    _, group = np.unique(group, return_inverse=True)
    return levels.grouped(group, int(group[-1]) + 1)


def equal_mass_rows(table, bins):
    """:func:`equal_mass` of every row, with the bins of the table as levels.

    Args:
        table (BinTable): of (R, K) sums, integer but for ``conf``; K bins in ascending
            order, whose pixels count as tied.
        bins (int): Number of parts.

    Returns:
        BinTable: of (R, bins) sums; parts that no level begins are empty.
    """
    sums = (table.count, table.right, table.conf)
    before, *others = (_prefix_sums(each) for each in sums)
    total = table.total
    cut = _mass_cuts(before, np.cumsum(total) - total, total, bins)
    return BinTable(*(np.diff(each[cut]) for each in (before, *others)))


def sweep(levels, max_bins=MAX_SWEEP_BINS):
    """Equal mass with the largest number of bins whose accuracies ascend.

    As in Roelofs et al. 2022, the number of bins grows from 1 until the accuracies are
    no longer monotone, and the last number before that is taken. Each candidate
    costs two look-ups in prefix sums per bin. If the accuracies of the levels
    themselves ascend, every partition is monotone and each level is its own bin.

    Source: `Mitigating Bias in Calibration Error Estimation
    <https://arxiv.org/abs/2012.08668>`_.

    Args:
        levels (ScoreLevels): The scores.
        max_bins (int): Where to stop. Defaults to 4096.

    Returns:
        BinTable: of the sums of the chosen partition.
    """
    if _ascends(levels.right, levels.count):
        return levels.grouped(np.arange(len(levels.count)), len(levels.count))
    (bins,) = _sweep_bins(levels.count[None], levels.right[None], max_bins)
    return equal_mass(levels, int(bins))


def sweep_rows(table):
    """:func:`sweep` of every row, with the bins of the table as levels.

    It stops at K parts: with more, most edges would lie inside of a level.

    Args:
        table (BinTable): See :func:`equal_mass_rows`.

    Returns:
        BinTable: of (R, K) sums; the last bins of most rows are empty.
    """
    levels = table.count.shape[-1]
    swept = np.array([table.count, table.right, table.conf], dtype=np.float64)
    bins = _sweep_bins(table.count, table.right, levels)
    bins[_ascends(table.right, table.count)] = 0  # each level is its own bin
    for number in np.unique(bins[bins > 0]):
        rows = bins == number
        parts = equal_mass_rows(table.take(rows), number)
        swept[:, rows] = 0
        swept[:, rows, :number] = parts.count, parts.right, parts.conf
    return BinTable(*swept)


def _sweep_bins(count, right, max_bins):
    """(R,) largest number of parts of the (R, K) levels before accuracies fall."""
    before, rights = _prefix_sums(count), _prefix_sums(right)
    total = count.sum(-1)
    start = np.cumsum(total) - total
    bins = np.ones(len(count), np.int64)
    rows = np.arange(len(count))
    for number in range(2, max_bins + 1):
        rows = rows[total[rows] >= number]
        cut = _mass_cuts(before, start[rows], total[rows], number)
        rows = rows[_ascends(np.diff(rights[cut]), np.diff(before[cut]))]
        if not len(rows):
            break
        bins[rows] = number
    return bins


def _mass_cuts(before, start, total, bins):
    """Where parts of one mass begin and end.

    Args:
        before (np.ndarray): (R * K + 1,) int64, running count over all rows.
        start (np.ndarray): (R,) int64, running count where each row starts.
        total (np.ndarray): (R,) int64, pixels of each row.
        bins (int): Number of parts.

    Returns:
        np.ndarray: (R, bins + 1) places in ``before``: the first level of each part
        is the first whose rank reaches k * N / bins.
    """
    rank = -(-np.arange(bins + 1) * total[:, None] // bins)
    return np.searchsorted(before, start[:, None] + rank)


def _prefix_sums(values):
    """(R * K + 1,) running sum of (R, K) values over all rows, from 0."""
    return np.concatenate([np.zeros(1, values.dtype), np.cumsum(values)])


def _ascends(right, count):
    """(...) whether the accuracies of (..., B) bins never fall; empty ones do not."""
    accuracy = ratio(right, count)
    highest = np.fmax.accumulate(accuracy, -1)
    return np.all(np.isnan(accuracy) | (accuracy >= highest), -1)
