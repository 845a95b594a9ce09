"""Every calibration figure of the core as a metric of TorchMetrics."""

from typing import Any

from torch import Tensor

from ...core.argument_checks import check_choice
from ...core.measure import MODES, CalibrationHistogram, check_bins
from .sum_metric import SumMetric


class BinaryCalibration(SumMetric[CalibrationHistogram]):
    """Every calibration figure of :class:`~mmaslp.core.CalibrationHistogram`.

    Pixels are counted in 262,141 cells of the probability, 4 MB for any number of
    pixels. The errors against float64 are stated there; ``docs/metrics.md`` explains
    the figures. As a function: :func:`mmaslp.functional.calibration_error`, whose
    docstring says where both differ from TorchMetrics' ``BinaryCalibrationError``.

    Args:
        metric (str, optional): One figure, such as ``'ece'``, ``'oe'``, ``'ks'`` or
            ``'brier'``. Defaults to None: a dictionary of all.
        n_bins (int): Number of bins. Defaults to 10.
        mode (str): 'top_label' (confidence max(p, 1 - p), outcome: correct) or
            'positive' (confidence p, outcome: foreground). Defaults to 'top_label'.
        ignore_index (int, optional): Target of the pixels to leave out. Defaults to
            None.
        **kwargs (Any): Of ``torchmetrics.Metric``.

    Raises:
        ValueError: An argument is out of range.

    Shape:
        - preds: ``(N, ...)``, probabilities of the foreground or logits.
        - target: same shape, or ``(N, ...)`` for ``(N, 1, ...)``, of {0, 1,
          ignore_index}.

    Example:
        >>> import torch
        >>> metric = BinaryCalibration('ece')
        >>> metric.update(torch.tensor([0.9, 0.8, 0.3]), torch.tensor([1, 0, 0]))
        >>> metric.compute()
        tensor(0.4000)
    """

    STATES = ('counts', 'nll')
    counts: Tensor
    nll: Tensor

    def __init__(
        self,
        metric: str | None = None,
        n_bins: int = 10,
        mode: str = 'top_label',
        ignore_index: int | None = None,
        **kwargs: Any,
    ) -> None:
        check_bins(n_bins)
        check_choice('mode', mode, MODES)
        self._options = n_bins, mode
        super().__init__(metric, ignore_index, **kwargs)

    @property
    def histogram(self) -> CalibrationHistogram:
        """CalibrationHistogram: The pixels of this process; it shares the counts."""
        return self.counter()

    def empty(self) -> CalibrationHistogram:
        """See :meth:`SumMetric.empty`."""
        return CalibrationHistogram()

    def figures_of(self, counter: CalibrationHistogram) -> dict[str, float]:
        """See :meth:`SumMetric.figures_of`."""
        return counter.compute(*self._options)
