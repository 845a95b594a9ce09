"""Sums of confidence and correctness per bin."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BinTable:
    """Per-bin sums, the input of every binned figure.

    The last axis runs over bins. Leading axes, if any, run over images or bootstrap
    resamples: tables of one set of images add up.

    Args:
        count (np.ndarray): (..., B) number of pixels.
        right (np.ndarray): (..., B) number of pixels whose outcome is 1 (in top-label
            mode: predicted correctly; in positive mode: foreground).
        conf (np.ndarray): (..., B) float64, sum of the confidences.
    """

    count: np.ndarray
    right: np.ndarray
    conf: np.ndarray

    @property
    def total(self):
        """(...) number of pixels in all bins."""
        return self.count.sum(-1)

    @property
    def mean_conf(self):
        """(..., B) mean confidence, nan in empty bins."""
        return ratio(self.conf, self.count)

    @property
    def mean_right(self):
        """(..., B) accuracy, nan in empty bins."""
        return ratio(self.right, self.count)

    @property
    def weight(self):
        """(..., B) share of the pixels, nan if there is none."""
        return ratio(self.count, np.expand_dims(self.total, -1))

    def take(self, rows):
        """Return the table of some images or resamples, in the given order."""
        return BinTable(self.count[rows], self.right[rows], self.conf[rows])

    def joined(self, parts):
        """Add up every ``parts`` neighbouring bins; B must be a multiple of it."""
        sums = (self.count, self.right, self.conf)
        return BinTable(
            *(each.reshape(*each.shape[:-1], -1, parts).sum(-1) for each in sums)
        )

    def pooled(self, weights=None):
        """Add up the images of a table of (I, B) sums.

        Args:
            weights (np.ndarray, optional): (R, I) how often each resample holds each
                image. Defaults to None: every image once.

        Returns:
            BinTable: of (B,) sums, or of (R, B) with ``weights``.
        """
        sums = (self.count, self.right, self.conf)
        if weights is None:
            return BinTable(*(each.sum(0) for each in sums))
        return BinTable(*(weights @ each for each in sums))


def ratio(numerator, denominator):
    """Divide, with nan where the denominator is 0."""
    with np.errstate(divide='ignore', invalid='ignore'):
        quotient = np.true_divide(numerator, denominator)
    return np.where(np.asarray(denominator) > 0, quotient, np.nan)
