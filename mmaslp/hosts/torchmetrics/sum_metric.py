"""What the metrics share: integer sums as states, one figure or all as the result."""

from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor
from torchmetrics import Metric

from ...core.argument_checks import check_integer, optional
from ...core.measure import BandTable, CalibrationHistogram
from ...core.measure.inputs import ROUNDING, as_tensor, matched

Counter = TypeVar('Counter', CalibrationHistogram, BandTable)

# Ends of the names of figures that are not errors: a high one is good; neither is.
BETTER_IF_HIGH = ('acc', 'brier_resolution')
NEITHER = ('gap', 'share', 'conf', 'sweep_bins', 'brier_uncertainty', 'count')


class SumMetric(Metric, Generic[Counter]):
    """Base of metrics whose states are the integer sums of a counter of the core.

    The sum over processes is that of the whole, so the result of several processes is
    that of one, bit by bit. A subclass gives ``STATES``, :meth:`empty` and
    :meth:`figures_of`.
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
        names = self.figures_of(empty)
        if metric is not None and metric not in names:
            raise ValueError(
                f'metric must be one of {", ".join(names)}, or None for all, not '
                f'{metric!r}'
            )

    @property
    def higher_is_better(self) -> bool | None:
        """Whether a high figure is good; None of the dictionary, or if neither is."""
        if self.metric is None or self.metric.endswith(NEITHER):
            return None
        return self.metric.endswith(BETTER_IF_HIGH)

    def empty(self) -> Counter:
        """Make a counter without pixels."""
        raise NotImplementedError

    def figures_of(self, counter: Counter) -> dict[str, float]:
        """All figures by name, in float64; without pixels nan."""
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
        preds, target = as_tensor(preds, 'preds'), as_tensor(target, 'target')
        preds = matched(preds, target, 'preds')
        prob = _probabilities(preds, target, self.ignore_index)
        counter.update(prob, target, self.ignore_index)
        if self.listener is not None:
            self.listener(prob, target, self.ignore_index)
        for name in self.STATES:
            setattr(self, name, getattr(counter, name))

    def compute(self) -> Tensor | dict[str, Tensor]:
        """Compute the figure ``metric`` of all pixels since the reset, or all by name.

        Scalars, computed in float64 and rounded to float32 (see :meth:`set_dtype`); nan
        where there is no pixel.
        """
        figures = self.figures_of(self.counter())
        if self.metric is not None:
            return self._scalar(figures[self.metric])
        return {name: self._scalar(value) for name, value in figures.items()}

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
        valid = preds[target != ignore_index]
        if not valid.numel() or _inside(valid):
            return preds
    return preds.sigmoid()


def _inside(preds: Tensor) -> bool:
    low, high = preds.aminmax()
    return bool((low >= -ROUNDING) & (high <= 1 + ROUNDING))
