"""Ways to divide scores into bins: equal width, equal mass, sweep."""

import numpy as np

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
    total = levels.total
    rights = np.concatenate([[0], np.cumsum(levels.right)])
    counts = np.concatenate([[0], np.cumsum(levels.count)])
    bins = 1
    while bins < min(total, max_bins):
        # First level of each bin: the first whose rank reaches k * N / bins.
        k = np.arange(bins + 2)
        cut = np.searchsorted(counts[:-1], -(-k * total // (bins + 1)))
        cut = cut[np.concatenate([[True], np.diff(cut) > 0])]
        if not _ascends(np.diff(rights[cut]), np.diff(counts[cut])):
            break
        bins += 1
    return equal_mass(levels, bins)


def _ascends(right, count):
    """Whether the accuracies right / count never fall."""
    accuracy = right / count
    return bool(np.all(accuracy[1:] >= accuracy[:-1]))
