"""Calibration of binary segmentation as metrics of TorchMetrics."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric

from ..common.arguments import check_choice, check_integer, optional
from ..common.arrays import (
    ROUNDING,
    as_tensor,
    at_least_float32,
    known_pixels,
    shaped_as_label,
)
from ..metrics.band_table import BandTable, band_scalars
from ..metrics.bins import check_bins
from ..metrics.catalogue import metric_of
from ..metrics.histogram import MODES, CalibrationHistogram
from ..metrics.image_metrics import BAND_ERRORS

__all__ = ['BinaryBandCalibration', 'BinaryCalibration']


class SumMetric(Metric):
    """Base of metrics whose states are the integer sums of a counter of the core.

    The sum over processes is that of the whole, so the result of several processes is
    that of one, bit by bit. A subclass gives ``COUNTER``, ``STATES`` and
    :meth:`values`.
    """

    COUNTER: ClassVar[type]
    STATES: ClassVar[tuple[str, ...]]
    is_differentiable = False
    full_state_update = False

    def __init__(
        self,
        metric: str | None = None,
        ignore_index: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        empty = self.COUNTER()
        for name in self.STATES:
            self.add_state(name, getattr(empty, name), dist_reduce_fx='sum')

        self.metric = optional(check_choice, 'metric', metric, choices=self.values())
        self.ignore_index = optional(check_integer, 'ignore_index', ignore_index)
        # Told of every update, while a callback wants to know more than the sums.
        self.listener: Callable[..., None] | None = None

    @property
    def higher_is_better(self) -> bool | None:
        """Whether a high metric is good; None of the dictionary, or if neither is."""
        if self.metric is None:
            return None
        return {'higher': True, 'lower': False}.get(metric_of(self.metric).better)

    def values(self) -> dict[str, float]:
        """All metrics by name, in float64; nan without pixels."""
        raise NotImplementedError

    def counter(self) -> Any:
        """Pixels of this process in a counter of the core, which shares the states."""
        counter = self.COUNTER()
        for name in self.STATES:
            setattr(counter, name, getattr(self, name))
        return counter

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count the pixels of a batch.

        If a value of ``preds`` that is not ignored lies outside [0, 1], they are taken
        for logits, as TorchMetrics does. ValueError if a target is another than 0, 1
        and ``ignore_index``, or of another shape.
        """
        counter = self.counter()
        target = as_tensor(target, 'target')
        preds = shaped_as_label(as_tensor(preds, 'preds'), target, 'preds')
        prob = _probabilities(preds, target, self.ignore_index)

        counter.update(prob, target, self.ignore_index)
        if self.listener is not None:
            self.listener(prob, target, ignore_index=self.ignore_index)
        for name in self.STATES:
            setattr(self, name, getattr(counter, name))

    def compute(self) -> Tensor | dict[str, Tensor]:
        """Compute the metric ``metric`` of all pixels since the reset, or all by name.

        Scalars, computed in float64 and rounded to float32; nan where there is no
        pixel.
        """
        values = {}
        for name, value in self.values().items():
            values[name] = torch.tensor(value, dtype=torch.float32, device=self.device)
        if self.metric is None:
            return values
        return values[self.metric]

    def set_dtype(self, dst_type: str | torch.dtype) -> Metric:
        """Change nothing: sums stay integers, and results are float32."""
        return self

    # Of a result, by default that of now, or of several over time.
    plot = Metric._plot


def _probabilities(preds: Tensor, target: Tensor, ignore_index: int | None) -> Tensor:
    """Take the sigmoid of logits."""
    valid = preds
    if ignore_index is not None:
        valid = preds[known_pixels(target, ignore_index)]
    if valid.is_floating_point() and valid.numel():
        low, high = valid.aminmax()
        beyond = low < -ROUNDING or high > 1 + ROUNDING
        if beyond and valid.isfinite().all():  # one inf makes no logits of the others
            return at_least_float32(preds).sigmoid()
    return preds


class BinaryBandCalibration(SumMetric):
    r"""Calibration by distance from the border, see :class:`~mmaslp.metrics.BandTable`.

    The metrics are ``ece_band`` (by the predicted border), ``ece_band_true`` (by
    the border of the target) and, for each band k of distance from the predicted
    border (0 is at the border), its ``band{k}_share`` of the pixels,
    ``band{k}_gap``, confidence - accuracy, and ``band{k}_acc``, its accuracy; the
    last two are nan for a band without pixels. As a function:
    :func:`mmaslp.functional.band_calibration_error`.

    Args:
        metric (str, optional): One metric. Defaults to None: a dictionary of all.
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

    COUNTER = BandTable
    STATES = ('totals',)

    def values(self) -> dict[str, float]:
        """See :meth:`SumMetric.values`."""
        counter = self.counter()
        computed = counter.compute()
        errors = {name: computed[name] for name in BAND_ERRORS}
        return errors | band_scalars(counter.table())


class BinaryCalibration(SumMetric):
    """Every calibration metric of :class:`~mmaslp.metrics.CalibrationHistogram`.

    Pixels are counted in 262,141 cells of the probability, 4 MB for any number of
    pixels. The errors against float64 are stated there; ``docs/metrics.md`` explains
    the metrics. As a function: :func:`mmaslp.functional.calibration_error`, whose
    docstring says where both differ from TorchMetrics' ``BinaryCalibrationError``.

    Args:
        metric (str, optional): One metric, such as ``'ece'``, ``'oe'``, ``'ks'`` or
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

    COUNTER = CalibrationHistogram
    STATES = ('counts', 'nll')

    def __init__(
        self,
        metric: str | None = None,
        n_bins: int = 10,
        mode: str = 'top_label',
        ignore_index: int | None = None,
        **kwargs: Any,
    ) -> None:
        self._options = check_bins(n_bins, 'n_bins'), check_choice('mode', mode, MODES)
        super().__init__(metric, ignore_index, **kwargs)

    def values(self) -> dict[str, float]:
        """See :meth:`SumMetric.values`."""
        return self.counter().compute(*self._options)
