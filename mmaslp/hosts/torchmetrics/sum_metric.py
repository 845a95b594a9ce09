"""What the metrics share: integer sums as states, one figure or all as the result."""

from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor
from torchmetrics import Metric

from ...core.argument_checks import check_integer

__all__ = ['SumMetric']


class SumMetric(Metric):
    """Base of metrics whose states are integer sums.

    The sum over processes is that of the whole, so the result of several processes is
    that of one, bit by bit. A subclass adds the states in its constructor, then calls
    :meth:`check_name`, and gives :meth:`figures`.

    Args:
        metric (str, optional): The figure that :meth:`compute` returns; None for a
            dictionary of all.
        ignore_index (int): Target of the pixels to leave out.
        **kwargs (Any): Of ``torchmetrics.Metric``.
    """

    is_differentiable = False
    full_state_update = False

    def __init__(self, metric: str | None, ignore_index: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.metric = metric
        self.ignore_index = check_integer('ignore_index', ignore_index)
        self._result_dtype = torch.float32

    def compute(self) -> Tensor | dict[str, Tensor]:
        """Compute the figures of all pixels since the last reset.

        Returns:
            Tensor | dict[str, Tensor]: The figure ``metric``, or all by name; scalars,
            computed in float64 and rounded to float32 (see :meth:`set_dtype`). nan
            where there is no pixel.
        """
        figures = self.figures()
        if self.metric is not None:
            return self._scalar(figures[self.metric])
        return {name: self._scalar(value) for name, value in figures.items()}

    def set_dtype(self, dst_type: str | torch.dtype) -> Metric:
        """Choose the type of the results from now on; the sums stay integers.

        Args:
            dst_type (str | torch.dtype): Such as ``torch.float64``.
        """
        if isinstance(dst_type, str):
            dst_type = getattr(torch, dst_type.removeprefix('torch.'))
        self._result_dtype = dst_type
        return self

    def plot(
        self,
        val: Tensor | dict[str, Tensor] | Sequence[Any] | None = None,
        ax: Any = None,
    ) -> Any:
        """Plot one result, or several over time.

        Args:
            val (Tensor | dict | Sequence, optional): Results of ``forward`` or
                ``compute``. Defaults to None: that of ``compute`` now.
            ax (matplotlib.axes.Axes, optional): Where to plot. Defaults to None: a new
                figure.

        Returns:
            tuple: Figure and axes of matplotlib.
        """
        return self._plot(val, ax)

    def __prepare_scriptable__(self) -> NoReturn:
        raise NotImplementedError(
            f'{type(self).__name__} cannot be scripted, it counts in Python: script '
            'the network without its metrics'
        )

    def figures(self) -> dict[str, float]:
        """All figures by name, in float64; without pixels nan."""
        raise NotImplementedError

    def check_name(self) -> None:
        """Refuse a figure that the metric does not have.

        Raises:
            ValueError: If ``metric`` is none of :meth:`figures`.
        """
        names = self.figures()
        if self.metric is not None and self.metric not in names:
            raise ValueError(
                f'metric must be one of {", ".join(names)}, or None for all, not '
                f'{self.metric!r}'
            )

    def _scalar(self, value: float) -> Tensor:
        return torch.tensor(value, dtype=self._result_dtype, device=self.device)
