"""Sums per score and per bin, and ways to bin."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ..common.arguments import check_integer

Table = TypeVar('Table', bound='Columns')


class Columns:
    """Base of dataclasses whose fields are columns, with a row for each image or bin.

    A column is an array, a list, another table, or None if the table lacks it.
    """

    def take(self: Table, rows: Any) -> Table:
        """Return some rows, in the given order."""
        columns = [_taken(column, rows) for column in self._columns()]
        return type(self)(*columns)

    @classmethod
    def join(cls: type[Table], tables: Sequence[Table]) -> Table:
        """Put the rows of one table or more below each other."""
        columns = []
        for field in fields(cls):  # type: ignore[arg-type]
            parts = [getattr(table, field.name) for table in tables]
            columns.append(_joined(parts))
        return cls(*columns)

    def _columns(self) -> list[Any]:
        return [getattr(self, field.name) for field in fields(self)]  # type: ignore


def _taken(column: Any, rows: Any) -> Any:
    if isinstance(column, list):
        return [column[row] for row in rows]
    if isinstance(column, Columns):
        return column.take(rows)
    if column is None:
        return None
    return column[rows]


def _joined(parts: Sequence[Any]) -> Any:
    if any(part is None for part in parts):
        return None
    if isinstance(parts[0], list):
        return list(chain.from_iterable(parts))
    if isinstance(parts[0], Columns):
        return type(parts[0]).join(parts)
    return np.concatenate(parts)


@dataclass(frozen=True, eq=False)
class BinTable(Columns):
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

    def to_json(self) -> dict[str, list]:
        """Return the sums by column, as JSON can hold them."""
        return {
            'count': self.count.tolist(),
            'correct': self.correct.tolist(),
            'conf': self.conf.tolist(),
        }

    def pooled(self, weights: np.ndarray | None = None) -> 'BinTable':
        """Add up the images of a table of ``(I, ..., B)`` sums.

        With ``weights``, ``(R, I)`` how often each resample holds each image, the sums
        are ``(R, ..., B)``, else ``(..., B)``.
        """
        if weights is None:
            return BinTable(self.count.sum(0), self.correct.sum(0), self.conf.sum(0))
        return BinTable(
            np.tensordot(weights, self.count, 1),
            np.tensordot(weights, self.correct, 1),
            np.tensordot(weights, self.conf, 1),
        )


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> np.ndarray:
    """Divide, with nan where the denominator is 0."""
    with np.errstate(divide='ignore', invalid='ignore'):
        quotient = np.true_divide(numerator, denominator)
    return np.where(np.asarray(denominator) > 0, quotient, np.nan)


@dataclass(frozen=True, eq=False)
class ScoreTable:
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

    def top_label(self) -> 'ScoreTable':
        """Turn scores p of the positive class into those of the top label.

        The score is max(p, 1 - p), and the outcome whether the class p > 1/2 is that of
        the label.
        """
        negative = 2 * self.score <= self.unit
        score = np.where(negative, self.unit - self.score, self.score)
        correct = np.where(negative, self.count - self.correct, self.correct)

        # Two runs in order: with `return_index` numpy merges them, else it sorts anew.
        distinct, _, place = np.unique(score, return_index=True, return_inverse=True)
        sums = ScoreTable(score, self.count, correct, self.unit).grouped(
            place, len(distinct)
        )
        return ScoreTable(distinct, sums.count, sums.correct, self.unit)

    def grouped(self, group: np.ndarray, groups: int) -> BinTable:
        """Sum the scores of each group, ``(K,)`` numbers in [0, groups)."""
        # Integers below 2**53 in float64 weights: the sums are exact.
        count = np.bincount(group, self.count, groups)
        correct = np.bincount(group, self.correct, groups)
        score = np.bincount(group, self.score * self.count, groups)
        return BinTable(
            count.astype(np.int64), correct.astype(np.int64), score / self.unit
        )


# More bins say no more: every image keeps a row of them, and a sweep tries them all.
MAX_BINS = 4096
# More than the width of a cell of the histogram.
WIDER_THAN_CELL = 1e-5


def check_bins(bins: int, name: str = 'bins') -> int:
    """Refuse an invalid number of bins."""
    return check_integer(name, bins, at_least=1, at_most=MAX_BINS)


def equal_width(table: ScoreTable, bins: int) -> BinTable:
    """Divide [0, 1] into ``bins`` intervals (lo, hi] of equal width; 0 is in the first.

    The edges are compared in integers. So a score exactly on k / bins belongs to the
    interval below, for every number of bins.
    """
    return table.grouped(
        np.maximum((table.score * bins + table.unit - 1) // table.unit - 1, 0), bins
    )


def confidences_of_bins(bins: int) -> tuple[np.ndarray, np.ndarray]:
    """``(B,)`` least and largest mean confidence of bins of equal width.

    A cell of the histogram may lie across an edge.
    """
    low = np.arange(bins) / bins
    return low - WIDER_THAN_CELL, low + 1 / bins + WIDER_THAN_CELL


def equal_mass(table: ScoreTable, bins: int) -> BinTable:
    """Divide the sorted pixels into ``bins`` equal parts; ties stay together.

    The edges are the k / bins quantiles of the scores and the intervals are (lo, hi]: a
    score goes to the bin of its first pixel, ``floor(bins * rank / N)``. If more than N
    / bins pixels share a score, some bins stay empty.
    """
    groups, group = np.unique(
        (np.cumsum(table.count) - table.count) * bins // table.total,
        return_inverse=True,
    )
    return table.grouped(group, len(groups))


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
    before = np.concatenate([[0], np.cumsum(table.count)])
    hits = np.concatenate([[0], np.cumsum(table.correct)])
    total = table.total
    most = min(MAX_BINS, total)
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


def signed_gap(table: BinTable) -> np.ndarray:
    """``(..., B)`` mean confidence minus accuracy: above 0 where over-confident."""
    return ratio(table.conf - table.correct, table.count)
