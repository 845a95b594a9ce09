"""The best temperature as a metric of TorchMetrics."""

import math
import warnings
from typing import Any

from torch import Tensor

from ...core.measure import LogitHistogram, check_bins, fit_temperature
from .sum_metric import SumMetric

__all__ = ['BinaryTemperature']

_OF_THE_FIT = ('temperature', 'nll_scaled', 'ece_scaled')


class BinaryTemperature(SumMetric):
    """The temperature that fits logits best, and what it leaves of the errors.

    The figures are ``temperature`` (lowest negative log-likelihood), ``nll`` and
    ``ece`` of sigmoid(z), and ``nll_scaled`` and ``ece_scaled`` of sigmoid(z / T). The
    last two tell a network whose logits are only too large from one that is wrong in
    another way. They are optimistic: T is fitted to the pixels that are measured.

    Logits are counted in cells of 1 / 1024, 8 MB for any number of pixels;
    :class:`~mmaslp.core.measure.LogitHistogram` states the errors. Without an
    optimum, as in pixels of one class, ``temperature`` and the scaled figures are nan,
    and a warning says why.

    Args:
        metric (str, optional): One figure. Defaults to None: a dictionary of all.
        bins (int): Number of bins of the two ECEs. Defaults to 10.
        ignore_index (int): Target of the pixels to leave out. Defaults to 255.
        **kwargs (Any): Of ``torchmetrics.Metric``.

    Raises:
        ValueError: An argument is out of range.

    Shape:
        - preds: ``(N, ...)``, floating point, logits of the foreground.
        - target: same shape, of {0, 1, ignore_index}.

    Example:
        >>> import torch
        >>> metric = BinaryTemperature('temperature')
        >>> metric.update(torch.tensor([4.0, 4, 4, -4]), torch.tensor([1, 1, 0, 0]))
        >>> metric.compute()  # about the T of sigmoid(4 / T) = 3 / 4
        tensor(3.6410)
    """

    counts: Tensor
    wrong: Tensor

    def __init__(
        self,
        metric: str | None = None,
        bins: int = 10,
        ignore_index: int = 255,
        **kwargs: Any,
    ) -> None:
        check_bins(bins)
        super().__init__(metric, ignore_index, **kwargs)
        self.bins = bins
        empty = LogitHistogram()
        self.add_state('counts', empty.counts, dist_reduce_fx='sum')
        self.add_state('wrong', empty.wrong, dist_reduce_fx='sum')
        self.check_name()

    @property
    def histogram(self) -> LogitHistogram:
        """LogitHistogram: The pixels of this process; it shares the counts."""
        histogram = LogitHistogram()
        histogram.counts, histogram.wrong = self.counts, self.wrong
        return histogram

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count the logits of a batch.

        Args:
            preds (Tensor): See above.
            target (Tensor): See above.

        Raises:
            ValueError: See :meth:`LogitHistogram.update`.
        """
        histogram = self.histogram
        histogram.update(preds, target, self.ignore_index)
        self.counts, self.wrong = histogram.counts, histogram.wrong

    def figures(self) -> dict[str, float]:
        """See :meth:`SumMetric.figures`."""
        histogram = self.histogram
        figures = dict.fromkeys(_OF_THE_FIT, math.nan)
        figures.update(nll=histogram.nll(), ece=histogram.ece(bins=self.bins))
        if not histogram.count:
            return figures
        try:
            fitted = fit_temperature(histogram)
        except ValueError as error:
            warnings.warn(f'BinaryTemperature: {error}', stacklevel=2)
            return figures
        scaled = histogram.nll(fitted), histogram.ece(fitted, self.bins)
        figures.update(zip(_OF_THE_FIT, (fitted, *scaled)))
        return figures
