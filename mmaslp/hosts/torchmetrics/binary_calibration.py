"""Every calibration figure of the core as a metric of TorchMetrics."""

from typing import Any

from torch import Tensor

from ...core.argument_checks import check_choice
from ...core.measure import MODES, CalibrationHistogram, ImageTable, check_bins
from .sum_metric import SumMetric

__all__ = ['BinaryCalibration']


class BinaryCalibration(SumMetric):
    """Every calibration figure of :class:`~mmaslp.core.CalibrationHistogram`.

    Pixels are counted in 262,141 cells of the probability, 4 MB for any number of
    pixels. The errors against float64 are stated there; ``docs/metrics.md`` explains
    the figures.

    Args:
        metric (str, optional): One figure, such as ``'ece'``, ``'oe'``, ``'ks'`` or
            ``'brier'``. Defaults to None: a dictionary of all.
        bins (int): Number of bins. Defaults to 10.
        mode (str): 'top_label' (confidence max(p, 1 - p), outcome: correct) or
            'positive' (confidence p, outcome: foreground). Defaults to 'top_label'.
        ignore_index (int): Target of the pixels to leave out. Defaults to 255.
        **kwargs (Any): Of ``torchmetrics.Metric``.

    Raises:
        ValueError: An argument is out of range.

    Shape:
        - preds: ``(N, ...)``, floating point, probabilities of the foreground. Logits
          are refused, not converted.
        - target: same shape, of {0, 1, ignore_index}.

    Example:
        >>> import torch
        >>> metric = BinaryCalibration('ece')
        >>> metric.update(torch.tensor([0.9, 0.8, 0.3]), torch.tensor([1, 0, 0]))
        >>> metric.compute()
        tensor(0.4000)
    """

    counts: Tensor
    nll: Tensor

    def __init__(
        self,
        metric: str | None = None,
        bins: int = 10,
        mode: str = 'top_label',
        ignore_index: int = 255,
        **kwargs: Any,
    ) -> None:
        check_bins(bins)
        check_choice('mode', mode, MODES)
        super().__init__(metric, ignore_index, **kwargs)
        self.bins = bins
        self.mode = mode
        empty = CalibrationHistogram()
        self.add_state('counts', empty.counts, dist_reduce_fx='sum')
        self.add_state('nll', empty.nll, dist_reduce_fx='sum')
        self.check_name()

    @property
    def histogram(self) -> CalibrationHistogram:
        """CalibrationHistogram: The pixels of this process; it shares the counts."""
        histogram = CalibrationHistogram()
        histogram.counts, histogram.nll = self.counts, self.nll
        return histogram

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count the pixels of a batch.

        Args:
            preds (Tensor): See above.
            target (Tensor): See above.

        Raises:
            ValueError: See :meth:`CalibrationHistogram.update`.
        """
        histogram = self.histogram
        histogram.update(preds, target, self.ignore_index)
        self.counts, self.nll = histogram.counts, histogram.nll

    def measured(self) -> dict[str, Any]:
        """Arguments of :meth:`~mmaslp.core.ImageLevels.observe`.

        Every process must call it: it adds up their sums.

        Returns:
            dict: ``accuracy``, ``confidence`` and ``median_gap`` of the top label.
        """
        with self.sync_context():
            return self.histogram.measured(self.bins)

    def reliability_diagram(self, title: str = '') -> Any:
        """Draw the reliability diagram.

        Every process must call it: it adds up their sums.

        Args:
            title (str): Defaults to ''.

        Returns:
            matplotlib.figure.Figure: Not registered with pyplot.
        """
        from ...files.results import calibration_result
        from ...report.reliability import reliability_figure

        with self.sync_context():
            result = calibration_result(
                self.histogram,
                ImageTable([], self.bins),
                bins=self.bins,
                mode=self.mode,
                resamples=0,
            )
        return reliability_figure({title: result})

    def figures(self) -> dict[str, float]:
        """See :meth:`SumMetric.figures`."""
        return self.histogram.compute(self.bins, self.mode)
