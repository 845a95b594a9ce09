"""Calibration by distance from the border as a metric of TorchMetrics."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ...core.bands import BORDER_EDGES
from ...core.measure import (
    BAND_ERRORS,
    BandTable,
    band_scalars,
)
from .sum_metric import SumMetric

__all__ = ['BinaryBandCalibration']


class BinaryBandCalibration(SumMetric):
    r"""Calibration by distance from the border, see :class:`~mmaslp.core.BandTable`.

    The figures are ``ece_band`` (by the predicted border), ``ece_band_true`` (by
    the border of the target) and, for each band k of distance from the predicted
    border (0 is at the border), its ``band{k}_share`` of the pixels,
    ``band{k}_gap``, confidence - accuracy, and ``band{k}_acc``, its accuracy; the
    last two are nan for a band without pixels.

    Args:
        metric (str, optional): One figure. Defaults to None: a dictionary of all.
        edges (Sequence[float]): Upper edges of all bands but the last, in units of
            :math:`\sqrt{HW} / 64` pixels. Defaults to ``BORDER_EDGES``.
        ignore_index (int): Target of the pixels to leave out. Defaults to 255.
        **kwargs (Any): Of ``torchmetrics.Metric``.

    Raises:
        ValueError: An argument is out of range.

    Shape:
        - preds: ``(N, H, W)`` or ``(N, 1, H, W)``, floating point, probabilities of the
          foreground.
        - target: same shape, of {0, 1, ignore_index}.

    Example:
        >>> import torch
        >>> target = torch.zeros(1, 64, 64)
        >>> target[..., 32:] = 1
        >>> metric = BinaryBandCalibration('band0_share')
        >>> metric.update(0.1 + 0.8 * target, target)
        >>> metric.compute()
        tensor(0.0312)
    """

    totals: Tensor

    def __init__(
        self,
        metric: str | None = None,
        edges: Sequence[float] = BORDER_EDGES,
        ignore_index: int = 255,
        **kwargs: Any,
    ) -> None:
        super().__init__(metric, ignore_index, **kwargs)
        empty = BandTable(edges)
        self.edges = empty.edges
        self.add_state('totals', empty.totals, dist_reduce_fx='sum')
        self.check_name()

    @property
    def table(self) -> BandTable:
        """BandTable: The pixels of this process; it shares the sums."""
        table = BandTable(self.edges)
        table.totals = self.totals
        return table

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count the pixels of a batch of maps.

        Args:
            preds (Tensor): See above.
            target (Tensor): See above.

        Raises:
            ValueError: See :meth:`BandTable.update`.
        """
        table = self.table
        table.update(preds, target, self.ignore_index)
        self.totals = table.totals

    def figures(self) -> dict[str, float]:
        """See :meth:`SumMetric.figures`."""
        computed = self.table.compute()
        figures = {name: computed[name] for name in BAND_ERRORS}
        return {**figures, **band_scalars(self.table.table())}
