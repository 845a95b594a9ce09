"""Outcomes per distinct score, in ascending order."""

from dataclasses import dataclass

import numpy as np

from .bin_table import BinTable


@dataclass(frozen=True)
class ScoreLevels:
    """Number of pixels and of right ones per distinct score.

    Args:
        score (np.ndarray): (K,) int64, strictly ascending, in units of ``1 / unit``.
        count (np.ndarray): (K,) int64, at least 1 each.
        right (np.ndarray): (K,) int64, pixels whose outcome is 1.
        unit (int): The score that means confidence 1.
    """

    score: np.ndarray
    count: np.ndarray
    right: np.ndarray
    unit: int

    @property
    def total(self):
        """Number of pixels."""
        return int(self.count.sum())

    @property
    def conf(self):
        """(K,) float64, the confidence of each level."""
        return self.score / self.unit

    @property
    def conf_sum(self):
        """(K,) int64, the summed scores of the pixels of each level."""
        return self.score * self.count

    def grouped(self, group, groups):
        """Sum the levels of each group.

        Args:
            group (np.ndarray): (K,) int64 in [0, groups).
            groups (int): Number of groups.

        Returns:
            BinTable: of (groups,) sums.
        """
        # Integers below 2**53 in float64 weights: the sums are exact.
        count, right, score = (
            np.bincount(group, weights=each, minlength=groups)
            for each in (self.count, self.right, self.conf_sum)
        )
        return BinTable(
            count.astype(np.int64), right.astype(np.int64), score / self.unit
        )
