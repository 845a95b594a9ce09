"""Sums per score and per bin, ways to bin, and the figures of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..common.arguments import check_integer


class ArrayFields:
    """Compares dataclasses of arrays by their values."""

    def __eq__(self, other: object) -> bool:
        """Whether all arrays are equal."""
        if type(other) is not type(self):
            return False
        return all(np.array_equal(a, b) for a, b in zip(_values(self), _values(other)))

    def __hash__(self) -> int:
        return hash(tuple(np.asarray(each).tobytes() for each in _values(self)))


def _values(table: object) -> list[np.ndarray]:
    return [*vars(table).values()]


@dataclass(frozen=True, eq=False)
class BinTable(ArrayFields):
    """Sums per bin, the input of every binned metric.

    The last axis runs over bins. Leading axes, if any, run over images or bootstrap
    resamples: tables of one set of images add up.

    Args:
        count (np.ndarray): ``(..., B)`` number of pixels.
        correct (np.ndarray): ``(..., B)`` number of pixels whose outcome is 1 (in
            top-label mode: predicted correctly; in positive mode: foreground).
        conf (np.ndarray): ``(..., B)`` float64, sum of the confidences.
    """

    count: np.ndarray
    correct: np.ndarray
    conf: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """``(...)`` number of pixels in all bins."""
        return self.count.sum(-1)

    @property
    def mean_conf(self) -> np.ndarray:
        """``(..., B)`` mean confidence, nan in empty bins."""
        return ratio(self.conf, self.count)

    @property
    def accuracy(self) -> np.ndarray:
        """``(..., B)`` share of correct pixels, nan in empty bins."""
        return ratio(self.correct, self.count)

    @property
    def weight(self) -> np.ndarray:
        """``(..., B)`` share of the pixels, nan if there is none."""
        return ratio(self.count, np.expand_dims(self.total, -1))

    def take(self, rows: int | np.ndarray) -> BinTable:
        """Return the table of some images or resamples, in the given order."""
        return BinTable(self.count[rows], self.correct[rows], self.conf[rows])

    def pooled(self, weights: np.ndarray | None = None) -> BinTable:
        """Add up the images of a table of ``(I, ..., B)`` sums.

        With ``weights``, ``(R, I)`` how often each resample holds each image, the sums
        are ``(R, ..., B)``, else ``(..., B)``.
        """
        sums = (self.count, self.correct, self.conf)
        if weights is None:
            return BinTable(*(each.sum(0) for each in sums))
        return BinTable(*(np.tensordot(weights, each, 1) for each in sums))


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> np.ndarray:
    """Divide, with nan where the denominator is 0."""
    with np.errstate(divide='ignore', invalid='ignore'):
        quotient = np.true_divide(numerator, denominator)
    return np.where(np.asarray(denominator) > 0, quotient, np.nan)


@dataclass(frozen=True, eq=False)
class ScoreTable(ArrayFields):
    """Number of pixels and of correct pixels per distinct score.

    Args:
        score (np.ndarray): ``(K,)`` int64, strictly ascending, in ``1 / unit``.
        count (np.ndarray): ``(K,)`` int64, at least 1 each.
        correct (np.ndarray): ``(K,)`` int64, pixels whose outcome is 1.
        unit (int): The score that stands for confidence 1.
    """

    score: np.ndarray
    count: np.ndarray
    correct: np.ndarray
    unit: int

    @property
    def total(self) -> int:
        """Number of pixels."""
        return int(self.count.sum())

    @property
    def conf(self) -> np.ndarray:
        """``(K,)`` float64, the confidence that each score stands for."""
        return self.score / self.unit

    @property
    def conf_sum(self) -> np.ndarray:
        """``(K,)`` int64, the sum over the pixels of each score, in ``1 / unit``."""
        return self.score * self.count

    def grouped(self, group: np.ndarray, groups: int) -> BinTable:
        """Sum the scores of each group, ``(K,)`` numbers in [0, groups)."""
        # Integers below 2**53 in float64 weights: the sums are exact.
        count, correct, score = (
            np.bincount(group, weights=each, minlength=groups)
            for each in (self.count, self.correct, self.conf_sum)
        )
        return BinTable(
            count.astype(np.int64), correct.astype(np.int64), score / self.unit
        )


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


def binned_metrics(table: BinTable) -> dict[str, np.ndarray]:
    r"""Compute the metrics that need only the sums per bin.

    With n_b pixels, confidence c_b and accuracy a_b in bin b of N pixels:

    .. math::
        ece = \sum_b \frac{n_b}{N} |c_b - a_b| \qquad
        oe = \sum_{b: c_b > a_b} \frac{n_b}{N} c_b |c_b - a_b| \qquad
        ue = \sum_{b: c_b < a_b} \frac{n_b}{N} c_b |c_b - a_b|

    ``mce`` is the maximum of the gaps :math:`|c_b - a_b|` of the bins that are not
    empty. ``ace`` is their unweighted mean, the *average* calibration error: a bin of
    few pixels counts as much as any other. It is not the *adaptive* calibration error
    of Nixon et al., which has bins of equal mass and is ``ece_em``. ``acc`` and
    ``conf`` are the means over all pixels.

    Sources: `ECE, MCE <https://arxiv.org/abs/1706.04599>`_,
    `OE <https://arxiv.org/abs/1905.11001>`_; average calibration error: Neumann,
    Zisserman and Vedaldi, Relaxed Softmax, 2018, and for segmentation
    `Barfoot et al. <https://arxiv.org/abs/2403.06759>`_, MONAI's ``AVERAGE``.
    """
    conf = table.mean_conf
    gap = signed_gap(table)
    weight = table.weight
    size = np.abs(gap)
    weighted = weight * size
    filled = np.asarray(table.count) > 0
    metrics = {
        'ece': _sum(weighted, filled),
        'oe': _sum(weighted * conf, filled & (gap > 0)),
        'ue': _sum(weighted * conf, filled & (gap < 0)),
        'mce': np.where(filled, size, 0).max(-1, initial=0),
        'ace': ratio(_sum(size, filled), filled.sum(-1)),
        'acc': ratio(table.correct.sum(-1), table.total),
        'conf': ratio(table.conf.sum(-1), table.total),
    }

    return {
        key: np.where(table.total > 0, value, np.nan) for key, value in metrics.items()
    }


def signed_gap(table: BinTable) -> np.ndarray:
    """``(..., B)`` mean confidence minus accuracy: above 0 where over-confident."""
    return ratio(table.conf - table.correct, table.count)


def debiased_l2(table: BinTable) -> np.ndarray:
    r"""De-biased L2 calibration error, root taken.

    .. math::
        \sqrt{\max\Big(0, \sum_b \frac{n_b}{N}
        \Big((c_b - a_b)^2 - \frac{a_b (1 - a_b)}{n_b - 1}\Big)\Big)}

    The correction removes the part of the squared gap that comes from sampling n_b
    outcomes. A bin with one pixel allows no such estimate and counts as 0, as in the
    authors' library.
    """
    accuracy = table.accuracy
    noise = ratio(accuracy * (1 - accuracy), np.asarray(table.count) - 1)
    squared = table.weight * (signed_gap(table) ** 2 - noise)
    square = _sum(squared, np.asarray(table.count) > 1)
    return np.where(table.total > 0, np.sqrt(np.maximum(square, 0)), np.nan)


def brier_decomposition(
    table: BinTable, brier: float | np.ndarray
) -> dict[str, np.ndarray]:
    r"""Split the Brier score into reliability, resolution and uncertainty.

    .. math::
        reliability = \sum_b \frac{n_b}{N} (c_b - a_b)^2 \qquad
        uncertainty = \bar a (1 - \bar a) \qquad
        brier = reliability - resolution + uncertainty

    The three add up exactly. So this is the generalised resolution: Murphy's
    :math:`\sum_b n_b (a_b - \bar a)^2 / N` plus what the spread of the scores inside
    the bins explains; both agree when every bin holds one score.
    """
    filled = np.asarray(table.count) > 0
    reliability = _sum(table.weight * signed_gap(table) ** 2, filled)
    accuracy = ratio(table.correct.sum(-1), table.total)
    uncertainty = accuracy * (1 - accuracy)
    return {
        'brier_reliability': np.where(table.total > 0, reliability, np.nan),
        'brier_resolution': reliability + uncertainty - brier,
        'brier_uncertainty': uncertainty,
    }


def _sum(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Sum over the bins that are named; others may be nan."""
    return np.where(where, values, 0).sum(-1)


def ks_error(table: ScoreTable) -> float:
    r"""Kolmogorov-Smirnov calibration error.

    .. math::
        \max_s \Big| \frac1N \sum_{i: c_i \le s} (c_i - r_i) \Big|

    This is the largest difference between the two cumulative sums. Equal scores enter
    together.
    """
    if not len(table.count):
        return float('nan')
    running = np.cumsum(table.conf_sum - table.unit * table.correct)
    return float(np.abs(running).max() / table.unit / table.total)


def brier_score(table: ScoreTable) -> float:
    r"""Mean squared difference :math:`\frac1N \sum_i (c_i - r_i)^2`, nan for none.

    For two classes it is the same for the top label and the positive class.
    """
    conf = table.conf
    wrong = table.count - table.correct
    squares = table.correct * (1 - conf) ** 2 + wrong * conf**2
    return float(ratio(squares.sum(), table.total))


def average_precision(table: ScoreTable) -> float:
    r"""Area under the precision-recall curve as a step function.

    :math:`\sum_n (R_n - R_{n-1}) P_n` over the thresholds from high to low, as
    scikit-learn's ``average_precision_score``. For scores of the positive class.
    """
    hits = np.cumsum(table.correct[::-1])
    named = np.cumsum(table.count[::-1])
    if not len(hits) or hits[-1] == 0:
        return float('nan')
    return float((table.correct[::-1] * (hits / named)).sum() / hits[-1])


def roc_auc(table: ScoreTable) -> float:
    """Area under the ROC curve: P(score of a positive > score of a negative).

    Ties count one half, as in scikit-learn's ``roc_auc_score``. For scores of the
    positive class.
    """
    positive = table.correct.astype(np.float64)
    negative = (table.count - table.correct).astype(np.float64)
    below = np.cumsum(negative) - negative
    pairs = positive.sum() * negative.sum()
    return float(ratio((positive * (below + negative / 2)).sum(), pairs))
