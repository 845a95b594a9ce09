"""Calibration of binary segmentation as metrics of TorchMetrics."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

try:
    from torchmetrics import Metric
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


class SumMetric(Metric, Generic[Counter]):
    """Base of metrics whose states are the integer sums of a counter of the core.

    The sum over processes is that of the whole, so the result of several processes is
    that of one, bit by bit. A subclass gives ``STATES``, :meth:`empty` and
    :meth:`metrics_of`.
    """

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
        self.metric = metric
        self.ignore_index = optional(check_integer, 'ignore_index', ignore_index)
        self._result_dtype = torch.float32
        # Told of every update, while a callback wants to know more than the sums.
        self.listener: Callable[[Tensor, Tensor, int | None], None] | None = None
        empty = self.empty()

        for name in self.STATES:
            self.add_state(name, getattr(empty, name), dist_reduce_fx='sum')
        names = self.metrics_of(empty)
        if metric is not None and metric not in names:
            raise ValueError(
                f'metric must be one of {", ".join(names)}, or None for all, not '
                f'{metric!r}'
            )

    @property
    def higher_is_better(self) -> bool | None:
        """Whether a high metric is good; None of the dictionary, or if neither is."""
        better = '' if self.metric is None else metric_of(self.metric).better
        return {'higher': True, 'lower': False}.get(better)

    def empty(self) -> Counter:
        """Make a counter without pixels."""
        raise NotImplementedError

    def metrics_of(self, counter: Counter) -> dict[str, float]:
        """All metrics by name, in float64; without pixels nan."""
        raise NotImplementedError

    def counter(self) -> Counter:
        """Pixels of this process in a counter of the core, which shares the states."""
        counter = self.empty()
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
        preds = as_tensor(preds, 'preds')
        target = as_tensor(target, 'target')
        preds = matched(preds, target, 'preds')
        prob = _probabilities(preds, target, self.ignore_index)
        counter.update(prob, target, self.ignore_index)
        if self.listener is not None:
            self.listener(prob, target, self.ignore_index)
        for name in self.STATES:
            setattr(self, name, getattr(counter, name))

    def compute(self) -> Tensor | dict[str, Tensor]:
        """Compute the metric ``metric`` of all pixels since the reset, or all by name.

        Scalars, computed in float64 and rounded to float32 (see :meth:`set_dtype`); nan
        where there is no pixel.
        """
        metrics = self.metrics_of(self.counter())
        if self.metric is not None:
            return self._scalar(metrics[self.metric])
        return {name: self._scalar(value) for name, value in metrics.items()}

    def set_dtype(self, dst_type: str | torch.dtype) -> Metric:
        """Choose the type of the results from now on; the sums stay integers."""
        if isinstance(dst_type, str):
            dst_type = getattr(torch, dst_type.removeprefix('torch.'))
        self._result_dtype = dst_type
        return self

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Plot a result, by default that of now, or several over time; figure, axes."""
        return self._plot(val, ax)

    def _scalar(self, value: float) -> Tensor:
        return torch.tensor(value, dtype=self._result_dtype, device=self.device)


def _probabilities(preds: Tensor, target: Tensor, ignore_index: int | None) -> Tensor:
    """Take the sigmoid of logits."""
    if not preds.is_floating_point() or not preds.numel() or _inside(preds):
        return preds
    if ignore_index is not None:
        valid = preds[known_pixels(target, ignore_index)]
        if not valid.numel() or _inside(valid):
            return preds
    return preds.sigmoid()


def _inside(preds: Tensor) -> bool:
    low, high = preds.aminmax()
    return bool((low >= -ROUNDING) & (high <= 1 + ROUNDING))


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

    STATES = ('totals',)
    totals: Tensor

    @property
    def table(self) -> BandTable:
        """BandTable: The pixels of this process; it shares the sums."""
        return self.counter()

    def empty(self) -> BandTable:
        """See :meth:`SumMetric.empty`."""
        return BandTable()

    def metrics_of(self, counter: BandTable) -> dict[str, float]:
        """See :meth:`SumMetric.metrics_of`."""
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

    def metrics_of(self, counter: CalibrationHistogram) -> dict[str, float]:
        """See :meth:`SumMetric.metrics_of`."""
        return counter.compute(*self._options)


_METRICS = {metric.key: metric.function for metric in MASK_METRICS}
# Columns of a table of masks, but the objects.
_COLUMNS = tuple(column.name for column in fields(MaskTable))[1:]


class BinaryDecisions(Metric):
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

    is_differentiable = False
    full_state_update = False
    objects: list[Tensor]
    images: list[Tensor]

    def __init__(
        self,
        metric: str | None = None,
        calibrator: Calibrator | None = None,
        ignore_index: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.metric = optional(check_choice, 'metric', metric, choices=_METRICS)
        self.calibrator = calibrator
        self.ignore_index = optional(check_integer, 'ignore_index', ignore_index)
        # Probability and outcome of each object; and of each image its number of
        # objects, and the columns of its table.
        self.add_state('objects', [], dist_reduce_fx='cat')
        self.add_state('images', [], dist_reduce_fx='cat')

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count the images of a batch; logits as in :class:`BinaryCalibration`."""
        preds = as_tensor(preds, 'preds')
        target = as_tensor(target, 'target')
        preds = _probabilities(preds, target, self.ignore_index)
        estimate = mask_estimates
        if self.calibrator is not None:
            estimate = self.calibrator.scores

        for image, label in images_of(preds, target, self.ignore_index):
            masks = estimate(image, label, self.ignore_index)
            [objects] = masks.objects
            columns = [getattr(masks, key) for key in _COLUMNS]
            row = np.stack([[len(objects)], *columns], 1)
            options = {'dtype': torch.float64, 'device': self.device}
            self.images.append(torch.as_tensor(row, **options))
            self.objects.append(torch.as_tensor(objects, **options))

    def compute(self) -> Tensor | dict[str, Tensor]:
        """Compute the metric ``metric`` of all images since the reset, or all."""
        rows = _stacked(self.images, 1 + len(_COLUMNS))
        ends = np.cumsum(rows[:, 0].astype(int))[:-1]
        objects = np.split(_stacked(self.objects, 2), ends) if len(rows) else []
        masks = MaskTable(objects, *rows[:, 1:].T)

        values = {
            name: torch.tensor(float(metric(masks)), device=self.device)
            for name, metric in _METRICS.items()
        }
        return values if self.metric is None else values[self.metric]

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Plot a result, by default that of now, or several over time; figure, axes."""
        return self._plot(val, ax)


def _stacked(state: list[Tensor] | Tensor, columns: int) -> np.ndarray:
    """Rows of a state; a list before the processes have put it together."""
    if isinstance(state, list):
        state = torch.cat(
            [
                torch.zeros(0, columns, dtype=torch.float64),
                *(part.cpu() for part in state),
            ]
        )
    return state.cpu().numpy()
