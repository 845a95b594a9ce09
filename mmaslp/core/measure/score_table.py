"""Outcomes per distinct score, in ascending order."""

from dataclasses import dataclass

import numpy as np

from .bin_table import ArrayFields, BinTable


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
