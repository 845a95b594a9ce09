"""Calibration of binary segmentation as metrics of TorchMetrics.

Each metric keeps integer sums, whose sum over processes is that of the whole: the
result of several processes is that of one, bit by bit.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor
from torchmetrics import Metric

from ..core.calibration import (
    BORDERS,
    MODES,
    REGION_ERRORS,
    CalibrationHistogram,
    ImageTable,
    LogitHistogram,
    RegionTable,
    binned_metrics,
    check_bins,
    fit_temperature,
)
from ..core.regions import BORDER_EDGES

__all__ = ['BinaryCalibration', 'BinaryRegionCalibration', 'BinaryTemperature']

_TEMPERATURE_FIGURES = ('temperature', 'nll_scaled', 'ece_scaled', 'nll', 'ece')


class _SumMetric(Metric):
    """Base: integer sums as states, one figure or all of them as the result.

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
        self.ignore_index = ignore_index
        self._result_dtype = torch.float32

    def compute(self) -> Tensor | dict[str, Tensor]:
        """Compute the figures of all pixels since the last reset.

        Returns:
            Tensor | dict[str, Tensor]: The figure ``metric``, or all by name; scalars,
            computed in float64 and rounded to float32 (see :meth:`set_dtype`). nan
            where there is no pixel.
        """
        figures = self._figures()
        if self.metric is not None:
            return self._scalar(figures[self.metric])
        return {name: self._scalar(value) for name, value in figures.items()}

    def set_dtype(self, dst_type: str | torch.dtype) -> Metric:
        """Choose the type of the results; the sums stay integers.

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

    def _figures(self) -> dict[str, float]:
        raise NotImplementedError

    def _check_name(self) -> None:
        names = self._figures()
        if self.metric is not None and self.metric not in names:
            raise ValueError(
                f'metric must be one of {", ".join(names)}, or None for all, not '
                f'{self.metric!r}'
            )

    def _scalar(self, value: float) -> Tensor:
        return torch.tensor(value, dtype=self._result_dtype, device=self.device)


class BinaryCalibration(_SumMetric):
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
        if mode not in MODES:
            raise ValueError(f'mode must be one of {MODES}, not {mode!r}')
        super().__init__(metric, ignore_index, **kwargs)
        self.bins = bins
        self.mode = mode
        empty = CalibrationHistogram()
        self.add_state('counts', empty.counts, dist_reduce_fx='sum')
        self.add_state('nll', empty.nll, dist_reduce_fx='sum')
        self._check_name()

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
        """Arguments of :meth:`ASLP.observe <mmaslp.core.ASLP.observe>`.

        Every process must call it: it adds up their sums.

        Returns:
            dict: ``accuracy``, ``confidence`` and ``median_gap`` of the top label.
        """
        with self.sync_context():
            figures = self.histogram.compute(self.bins)
        return dict(
            accuracy=figures['acc'],
            confidence=figures['conf'],
            median_gap=figures['median_gap'],
        )

    def reliability_diagram(self, title: str = '') -> Any:
        """Draw the reliability diagram.

        Every process must call it: it adds up their sums.

        Args:
            title (str): Defaults to ''.

        Returns:
            matplotlib.figure.Figure: Not registered with pyplot.
        """
        from ..evaluation.results import calibration_result
        from ..visualization.reliability import reliability_figure

        with self.sync_context():
            result = calibration_result(
                self.histogram,
                ImageTable([], self.bins),
                bins=self.bins,
                mode=self.mode,
                resamples=0,
            )
        return reliability_figure({title: result})

    def _figures(self) -> dict[str, float]:
        return self.histogram.compute(self.bins, self.mode)


class BinaryRegionCalibration(_SumMetric):
    r"""Calibration by distance from the border, see :class:`~mmaslp.core.RegionTable`.

    The figures are ``ece_region`` (by the predicted border), ``ece_region_true`` (by
    the border of the target) and, for each band k of distance from the predicted
    border (0 is at the border), its ``region{k}_share`` of the pixels and
    ``region{k}_gap``, confidence - accuracy, nan for a band without pixels.

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
        >>> target = torch.zeros(1, 64, 64)
        >>> target[..., 32:] = 1
        >>> metric = BinaryRegionCalibration('region0_share')
        >>> metric.update(0.1 + 0.8 * target, target)
        >>> metric.compute()
        tensor(0.0312)
    """

    sums: Tensor

    def __init__(
        self,
        metric: str | None = None,
        edges: Sequence[float] = BORDER_EDGES,
        ignore_index: int = 255,
        **kwargs: Any,
    ) -> None:
        super().__init__(metric, ignore_index, **kwargs)
        empty = RegionTable(edges)
        self.edges = empty.edges
        self.add_state('sums', empty.sums, dist_reduce_fx='sum')
        self._check_name()

    @property
    def table(self) -> RegionTable:
        """RegionTable: The pixels of this process; it shares the sums."""
        table = RegionTable(self.edges)
        table.sums = self.sums
        return table

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Count the pixels of a batch of maps.

        Args:
            preds (Tensor): See above.
            target (Tensor): See above.

        Raises:
            ValueError: See :meth:`RegionTable.update`.
        """
        table = self.table
        table.update(_maps(preds), _maps(target), self.ignore_index)
        self.sums = table.sums

    def measured(self) -> dict[str, Any]:
        """Arguments of :meth:`ASLP.observe <mmaslp.core.ASLP.observe>`.

        Every process must call it: it adds up their sums.

        Returns:
            dict: ``accuracy``, ``confidence``, ``region_gap`` and ``region_share``.
        """
        with self.sync_context():
            table = self.table
            whole = binned_metrics(table.table())
            bands = table.compute()[BORDERS[0]]
        return dict(
            accuracy=float(whole['acc']),
            confidence=float(whole['conf']),
            region_gap=bands['gap'],
            region_share=bands['share'],
        )

    def _figures(self) -> dict[str, float]:
        computed = self.table.compute()
        figures = {name: computed[name] for name in REGION_ERRORS}
        for key in ('share', 'gap'):
            for band, value in enumerate(computed[BORDERS[0]][key]):
                figures[f'region{band}_{key}'] = value
        return figures


class BinaryTemperature(_SumMetric):
    """The temperature that fits logits best, and what it leaves of the errors.

    The figures are ``temperature`` (lowest negative log-likelihood), ``nll`` and
    ``ece`` of sigmoid(z), and ``nll_scaled`` and ``ece_scaled`` of sigmoid(z / T). The
    last two tell a network whose logits are only too large from one that is wrong in
    another way. They are optimistic: T is fitted to the pixels that are measured.

    Logits are counted in cells of 1 / 1024, 8 MB for any number of pixels;
    :class:`~mmaslp.core.calibration.LogitHistogram` states the errors. Without an
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
        self._check_name()

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

    def _figures(self) -> dict[str, float]:
        histogram = self.histogram
        figures = dict.fromkeys(_TEMPERATURE_FIGURES, math.nan)
        if not histogram.count:
            return figures
        figures.update(nll=histogram.nll(), ece=histogram.ece(bins=self.bins))
        try:
            fitted = fit_temperature(histogram)
        except ValueError as error:
            warnings.warn(f'BinaryTemperature: {error}', stacklevel=2)
            return figures
        scaled = histogram.nll(fitted), histogram.ece(fitted, self.bins)
        figures.update(zip(_TEMPERATURE_FIGURES, (fitted, *scaled)))
        return figures


def _maps(maps: Tensor) -> Tensor:
    """Take away the channel axis of ``(N, 1, H, W)``."""
    return maps.squeeze(1) if maps.dim() == 4 and maps.size(1) == 1 else maps
