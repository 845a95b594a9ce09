"""Calibration by distance from the border as a metric of TorchMetrics."""

from torch import Tensor

from ...core.measure import BAND_ERRORS, BandTable, band_scalars
from .sum_metric import SumMetric


class BinaryBandCalibration(SumMetric[BandTable]):
    r"""Calibration by distance from the border, see :class:`~mmaslp.core.BandTable`.

    The figures are ``ece_band`` (by the predicted border), ``ece_band_true`` (by
    the border of the target) and, for each band k of distance from the predicted
    border (0 is at the border), its ``band{k}_share`` of the pixels,
    ``band{k}_gap``, confidence - accuracy, and ``band{k}_acc``, its accuracy; the
    last two are nan for a band without pixels. As a function:
    :func:`mmaslp.functional.band_calibration_error`.

    Args:
        metric (str, optional): One figure. Defaults to None: a dictionary of all.
        ignore_index (int, optional): Target of the pixels to leave out. Defaults to
            None.
        **kwargs (Any): Of ``torchmetrics.Metric``.

    Raises:
        ValueError: An argument is out of range.

    Shape:
        - preds: ``(N, H, W)``, ``(N, C, H, W)`` or ``(N, C, D, H, W)``, probabilities
          of the foreground or logits; C independent channels.
        - target: same shape, or ``(N, ...)`` for ``(N, 1, ...)``, of {0, 1,
          ignore_index}.

    Example:
        >>> import torch
        >>> target = torch.zeros(1, 64, 64)
        >>> target[..., 32:] = 1
        >>> metric = BinaryBandCalibration('band0_share')
        >>> metric.update(0.1 + 0.8 * target, target)
        >>> metric.compute()
        tensor(0.0312)
    """

    STATES = ('totals',)
    totals: Tensor

    @property
    def table(self) -> BandTable:
        """BandTable: The pixels of this process; it shares the sums."""
        return self.counter()

    def empty(self) -> BandTable:
        """See :meth:`SumMetric.empty`."""
        return BandTable()

    def figures_of(self, counter: BandTable) -> dict[str, float]:
        """See :meth:`SumMetric.figures_of`."""
        computed = counter.compute()
        figures = {name: computed[name] for name in BAND_ERRORS}
        return {**figures, **band_scalars(counter.table())}
