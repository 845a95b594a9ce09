"""Sums of confidence and of correct outcomes per bin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


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
