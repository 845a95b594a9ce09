"""Calibration of binary segmentation as metrics of TorchMetrics."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

try:
    from torchmetrics import Metric
    from torchmetrics.utilities import dim_zero_cat
except ImportError as error:
    raise ImportError(
        'mmaslp.integrations.torchmetrics needs TorchMetrics, which is not installed: '
        'run `pip install "mmaslp[torchmetrics]"`'
    ) from error

from ..calibration.calibrator import Calibrator
from ..calibration.uncalibrated import mask_estimates
from ..common.arguments import check_choice, check_integer, optional
from ..common.arrays import ROUNDING, as_tensor, known_pixels, matched
from ..functional import images_of
from ..metrics.band_table import BandTable, band_scalars
from ..metrics.bins import check_bins
from ..metrics.catalogue import metric_of
from ..metrics.histogram import MODES, CalibrationHistogram
from ..metrics.image_metrics import BAND_ERRORS, MASK_METRICS
from ..metrics.objects import MaskTable

__all__ = ['BinaryBandCalibration', 'BinaryCalibration', 'BinaryDecisions']

Counter = TypeVar('Counter', CalibrationHistogram, BandTable)


class BinaryMetric(Metric):
    """Base of all metrics here: what they take, and what they give.

    A subclass gives :meth:`count` and :meth:`values`.
    """

    is_differentiable = False
    full_state_update = False

    def __init__(
        self,
        metric: str | None,
        ignore_index: int | None,
        states: Mapping[str, Any],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, empty in states.items():
            how = 'cat' if isinstance(empty, list) else 'sum'
            self.add_state(name, empty, dist_reduce_fx=how)
        self.metric = optional(check_choice, 'metric', metric, choices=self.values())
        self.ignore_index = optional(check_integer, 'ignore_index', ignore_index)

    @property
    def higher_is_better(self) -> bool | None:
        """Whether a high metric is good; None of the dictionary, or if neither is."""
        better = '' if self.metric is None else metric_of(self.metric).better
        return {'higher': True, 'lower': False}.get(better)

    def count(self, prob: Tensor, target: Tensor) -> None:
        """Add a batch to the states."""
        raise NotImplementedError

    def values(self) -> dict[str, float]:
        """All metrics by name; nan where nothing was counted."""
        raise NotImplementedError

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count a batch.

        If a value of ``preds`` that is not ignored lies outside [0, 1], they are taken
        for logits, as TorchMetrics does. ValueError if a target is another than 0, 1
        and ``ignore_index``, or of another shape.
        """
        preds = as_tensor(preds, 'preds')
        target = as_tensor(target, 'target')
        scores = matched(preds, target, 'preds')
        prob = _probabilities(scores, target, self.ignore_index)
        self.count(prob.reshape(preds.shape), target)

    def compute(self) -> Tensor | dict[str, Tensor]:
        """Compute the metric ``metric`` of all since the reset, or all by name.

        Scalars, computed in float64 and rounded to float32; nan where nothing was
        counted.
        """
        values = {
            name: torch.tensor(value, dtype=torch.float32, device=self.device)
            for name, value in self.values().items()
        }
        return values if self.metric is None else values[self.metric]

    def set_dtype(self, dst_type: str | torch.dtype) -> Metric:
        """Change nothing: sums stay integers, and results are float32."""
        return self

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Plot a result, by default that of now, or several over time; figure, axes."""
        return self._plot(val, ax)


class SumMetric(BinaryMetric, Generic[Counter]):
    """Base of metrics whose states are the integer sums of a counter of the core.

    The sum over processes is that of the whole, so the result of several processes is
    that of one, bit by bit. A subclass gives ``COUNTER`` and ``STATES``.
    """

    COUNTER: ClassVar[type]
    STATES: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        metric: str | None = None,
        ignore_index: int | None = None,
        **kwargs: Any,
    ) -> None:
        empty = self.COUNTER()
        states = {name: getattr(empty, name) for name in self.STATES}
        super().__init__(metric, ignore_index, states, **kwargs)
        # Told of every update, while a callback wants to know more than the sums.
        self.listener: Callable[[Tensor, Tensor, int | None], None] | None = None

    def counter(self) -> Counter:
        """Pixels of this process in a counter of the core, which shares the states."""
        counter = self.COUNTER()
        for name in self.STATES:
            setattr(counter, name, getattr(self, name))
        return counter

    def count(self, prob: Tensor, target: Tensor) -> None:
        """See :meth:`BinaryMetric.count`."""
        counter = self.counter()
        counter.update(prob, target, self.ignore_index)
        if self.listener is not None:
            self.listener(prob, target, self.ignore_index)
        for name in self.STATES:
            setattr(self, name, getattr(counter, name))


def _probabilities(preds: Tensor, target: Tensor, ignore_index: int | None) -> Tensor:
    """Take the sigmoid of logits."""
    valid = preds
    if ignore_index is not None:
        valid = preds[known_pixels(target, ignore_index)]
    if valid.is_floating_point() and valid.numel():
        low, high = valid.aminmax()
        if low < -ROUNDING or high > 1 + ROUNDING:
            return preds.sigmoid()
    return preds


class BinaryBandCalibration(SumMetric[BandTable]):
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
        """See :meth:`BinaryMetric.values`."""
        counter = self.counter()
        computed = counter.compute()
        metrics = {name: computed[name] for name in BAND_ERRORS}
        return {**metrics, **band_scalars(counter.table())}


class BinaryCalibration(SumMetric[CalibrationHistogram]):
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
        check_bins(n_bins)
        check_choice('mode', mode, MODES)
        self._options = n_bins, mode
        super().__init__(metric, ignore_index, **kwargs)

    def values(self) -> dict[str, float]:
        """See :meth:`BinaryMetric.values`."""
        return self.counter().compute(*self._options)


_METRICS = {metric.key: metric.function for metric in MASK_METRICS}
# Columns of a table of masks, but the objects.
_COLUMNS = tuple(column.name for column in fields(MaskTable))[1:]


class BinaryDecisions(BinaryMetric):
    r"""Estimates of objects and images, see :class:`~mmaslp.metrics.objects.MaskTable`.

    The metrics are ``ece_object``, ``auroc_object``, ``dice_error`` and ``aurc``, and
    of images without foreground ``empty_found`` and ``empty_area``; nan where there is
    nothing to measure. As functions: :mod:`mmaslp.functional`. The states are a few
    numbers for each image and each object, which processes put together.

    Args:
        metric (str, optional): One metric. Defaults to None: a dictionary of all.
        calibrator (Calibrator, optional): Asked instead of the probabilities, which
            must be as the network gives them. Defaults to None.
        ignore_index (int, optional): Target of the pixels to leave out. Defaults to
            None.
        **kwargs (Any): Of ``torchmetrics.Metric``.

    Raises:
        ValueError: An argument is out of range.

    Shape:
        - preds: ``(N, H, W)`` or ``(N, 1, H, W)``, of volumes ``(N, 1, D, H, W)``,
          probabilities of the foreground or logits.
        - target: same shape, or without the channel, of {0, 1, ignore_index}.

    Example:
        >>> import torch
        >>> target = torch.zeros(1, 32, 32)
        >>> target[:, :8, :8] = 1
        >>> metric = BinaryDecisions('ece_object')
        >>> metric.update(0.1 + 0.8 * target.maximum(target.flip(1)), target)
        >>> metric.compute()
        tensor(0.4000)
    """

    objects: list[Tensor]
    images: list[Tensor]

    def __init__(
        self,
        metric: str | None = None,
        calibrator: Calibrator | None = None,
        ignore_index: int | None = None,
        **kwargs: Any,
    ) -> None:
        # Probability and outcome of each object; and of each image its number of
        # objects, and the columns of its table.
        states: dict[str, Any] = {'objects': [], 'images': []}
        super().__init__(metric, ignore_index, states, **kwargs)
        self.calibrator = calibrator

    def count(self, prob: Tensor, target: Tensor) -> None:
        """See :meth:`BinaryMetric.count`."""
        estimate = mask_estimates if self.calibrator is None else self.calibrator.scores
        for image, label in images_of(prob, target, self.ignore_index):
            masks = estimate(image, label, self.ignore_index)
            [objects] = masks.objects
            columns = [getattr(masks, key) for key in _COLUMNS]
            row = np.stack([[len(objects)], *columns], 1)
            options = {'dtype': torch.float64, 'device': self.device}
            self.images.append(torch.as_tensor(row, **options))
            self.objects.append(torch.as_tensor(objects, **options))

    def values(self) -> dict[str, float]:
        """See :meth:`BinaryMetric.values`."""
        number, *columns = _stacked(self.images, 1 + len(_COLUMNS)).T
        ends = np.cumsum(number.astype(int))[:-1]
        objects = np.split(_stacked(self.objects, 2), ends) if len(number) else []
        masks = MaskTable(objects, *columns)
        return {name: float(metric(masks)) for name, metric in _METRICS.items()}


def _stacked(state: list[Tensor] | Tensor, columns: int) -> np.ndarray:
    """Rows of a state; a list before the processes have put it together."""
    rows = dim_zero_cat(state) if len(state) else torch.zeros(0, columns)
    return rows.cpu().numpy()
