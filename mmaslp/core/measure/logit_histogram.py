"""Counts per logit, from which the NLL and the ECE at every temperature follow."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from .bin_table import BinTable
from .binned_metrics import binned_metrics
from .binning import check_bins
from .inputs import flat_logits

__all__ = ['LogitHistogram']


class LogitHistogram:
    r"""Counts of background and foreground pixels per cell of the logit z.

    Cells are (k - 1, k] / 1024 between -256 and 256, and one beyond each end. A pixel
    is represented by the middle of its cell, at most w / 2 = 2**-11 away, or by -256
    or 256. No cell holds logits on both sides of the decision z > 0. The logits on the
    wrong side are also summed, in units of 2**-20. With s = 1 / T

    .. math::
        NLL(s) = \frac{1}{N} \Big(\sum_i \log(1 + e^{-s |z_i|})
        + s \sum_{i\ wrong} |z_i|\Big),

    so the linear part, which grows without bound, is exact at both ends. Memory is 8 MB
    for any number of pixels. Everything is integer, so :meth:`merge` is exact in any
    order.

    **Error against float64.** :meth:`nll` within s * w / 4 = s * 2.4e-4, :meth:`ece`
    within s * w / 8 = s * 1.2e-4 plus twice the share of the pixels in cells that an
    edge of a bin cuts; to both add exp(-256 s) times the share of pixels beyond the
    ends. :meth:`balance`, whose zero is 1 / T, within w / 4 + 2**-21, plus that share
    times the maximum of :math:`a \sigma(-s a)` over a >= 256.

    Example:
        >>> import torch
        >>> histogram = LogitHistogram()
        >>> z = torch.tensor([4.0, 4.0, 4.0, -4.0])
        >>> histogram.update(z, torch.tensor([1, 1, 0, 0]))
        >>> round(histogram.nll(4 / math.log(3)), 2)  # that of p = 0.75
        0.56
    """

    LIMIT = 256
    PER_UNIT = 1024
    WRONG_UNIT = 2**20

    _HALF = LIMIT * PER_UNIT
    CELLS = 2 * _HALF + 2

    def __init__(self) -> None:
        self.counts = torch.zeros(2 * self.CELLS, dtype=torch.int64)
        self.wrong = torch.zeros((), dtype=torch.int64)

    def update(
        self,
        logit: Tensor | np.ndarray,
        label: Tensor | np.ndarray,
        ignore_index: int = 255,
    ) -> None:
        """Count the pixels of one image or batch.

        Args:
            logit (Tensor | np.ndarray): ``(...)`` floating point, of the positive
                class: z of a one-channel head, z1 - z0 of two channels.
            label (Tensor | np.ndarray): ``(...)`` of {0, 1, ignore_index}.
            ignore_index (int): Label of pixels that do not count. Defaults to 255.

        Raises:
            ValueError: Shapes differ, ``logit`` is no floating point type, is not
                finite or beyond 1e6, ``label`` has other values, or the logits on the
                wrong side add up to 2**42 or more. Then nothing of the call is counted.
        """
        logit, label = flat_logits(logit, label, ignore_index)
        label = label.long()
        cell = (logit * self.PER_UNIT).ceil_().clamp_(-self._HALF, self._HALF + 1)
        index = 2 * (cell.long() + self._HALF) + label
        wrong = torch.where(label == 1, -logit, logit).clamp_(min=0).double()
        wrong = wrong.mul_(self.WRONG_UNIT).round_()
        self._check_wrong(float(wrong.sum()))
        self.counts = self.counts.to(logit.device)
        self.counts += torch.bincount(index, minlength=2 * self.CELLS)
        self.wrong = self.wrong.to(logit.device)
        self.wrong += wrong.long().sum()
        self.__dict__.pop('_table', None)

    def merge(self, other: LogitHistogram) -> None:
        """Add the pixels of another histogram, which stays as it is.

        Args:
            other (LogitHistogram): The other histogram.
        """
        self._check_wrong(int(other.wrong))
        self.counts += other.counts.to(self.counts.device)
        self.wrong += other.wrong.to(self.wrong.device)
        self.__dict__.pop('_table', None)

    def sums(self) -> tuple[Tensor, ...]:
        """Return the integers of the state, whose sum over parts is that of the whole.

        Processes add them up in place.
        """
        return self.counts, self.wrong

    def _check_wrong(self, added: float) -> None:
        """Refuse sums that do not fit into a 64-bit integer."""
        if int(self.wrong) + added > 2**62:
            raise ValueError(
                'the logits on the wrong side add up to more than can be counted '
                f'({2.0**62 / self.WRONG_UNIT:.1e}): look for an overflow in half '
                'precision'
            )

    @property
    def count(self) -> int:
        """Number of pixels."""
        return int(self.counts.sum())

    @property
    def mean_wrong(self) -> float:
        """Mean over all pixels of ``|z|`` where its sign is wrong, else 0."""
        return int(self.wrong) / self.WRONG_UNIT / self.count

    @property
    def wrong_beyond(self) -> int:
        """Number of pixels beyond the ends, ``|z| >= 256``, whose sign is wrong."""
        per_cell = self.counts.view(-1, 2)
        return int(per_cell[0, 1] + per_cell[-1, 0])

    def nll(self, temperature: float = 1.0) -> float:
        """Mean negative log-likelihood (nat per pixel) of sigmoid(z / T).

        Args:
            temperature (float): T > 0. Defaults to 1.

        Returns:
            float: nan without pixels.
        """
        size, count, _ = self._table
        if not len(count):
            return math.nan
        soft = np.logaddexp(0, -size / temperature) @ count / count.sum()
        return float(soft + self.mean_wrong / temperature)

    def ece(self, temperature: float = 1.0, bins: int = 10) -> float:
        """Top-label ECE of sigmoid(z / T), equal-width bins (lo, hi] on [0, 1].

        Args:
            temperature (float): T > 0. Defaults to 1.
            bins (int): Number of bins; with 1, the absolute gap of confidence and
                accuracy. Defaults to 10.

        Returns:
            float: nan without pixels.
        """
        return float(binned_metrics(self.bin_table(temperature, bins))['ece'])

    def bin_table(self, temperature: float = 1.0, bins: int = 10) -> BinTable:
        """Sums of the top-label confidence of sigmoid(z / T), and of correct pixels.

        Args:
            temperature (float): See :meth:`ece`.
            bins (int): See :meth:`ece`.

        Returns:
            BinTable: ``(bins,)`` sums.
        """
        check_bins(bins)
        size, count, correct = self._table
        conf = 1 / (1 + np.exp(-size / temperature))
        index = np.ceil(conf * bins).astype(np.int64) - 1
        sums = (
            np.bincount(index, each, bins) for each in (count, correct, conf * count)
        )
        return BinTable(*sums)

    def balance(self, inverse: float) -> float:
        r"""Minus the derivative of the NLL with respect to s = 1 / T; falls with s.

        .. math::
            \frac{1}{N} \Big(\sum_i |z_i| \sigma(-s |z_i|)
            - \sum_{i\ wrong} |z_i|\Big)

        Args:
            inverse (float): s > 0.

        Returns:
            float: In units of the logit.
        """
        size, count, _ = self._table
        decay = np.exp(-inverse * size)
        pull = size * decay / (1 + decay)
        return float(pull @ count / count.sum() - self.mean_wrong)

    @cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the cells that are not empty, ``(K,)`` ``|z|``, pixels, correct pixels."""
        counts = self.counts.cpu().numpy().reshape(-1, 2)
        total = counts.sum(1)
        cell = np.flatnonzero(total)
        middle = (cell - self._HALF - 0.5) / self.PER_UNIT
        size = np.minimum(np.abs(middle), self.LIMIT)
        correct = counts[cell, (middle > 0).astype(np.int64)]
        return size, total[cell], correct
