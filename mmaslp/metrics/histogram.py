"""The one streaming histogram that every calibration metric is computed from."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..common.arguments import check_choice, check_integer
from ..common.arrays import CHUNK, as_tensor, binary_scores, top_label_scores
from .bins import ScoreTable, check_bins
from .catalogue import Pixels, figures_of_pixels

MODES = ('top_label', 'positive')


class CalibrationHistogram:
    r"""Counts of wrong and of correct pixels per cell of the probability.

    The cells are finer than any bins. Half of them are the points i / 131070: every
    8-bit and 16-bit map value and the edges of 10, 15, 30 or 34 equal bins are such
    points. Between two points lies one open cell. A value within 2.4e-7 of a point
    (float32 rounding) counts as this point, except that every value above 0.5 predicts
    class 1. Any other value is represented by the middle of its open cell, at most
    :math:`\delta` = 3.8e-6 away. Memory is 4 MB for any number of pixels. Everything is
    integer, so :meth:`merge` is exact, associative and commutative bit by bit.

    **Error against float64.** 8-bit and 16-bit maps: rounding only. Float values, for
    any number of pixels:

    - ``ece``, ``mce``, ``ace``, ``conf``: :math:`\delta`; ``oe``, ``ue``, ``brier``
      and its reliability: :math:`2\delta` = 7.7e-6. A score within 2.4e-7 of an edge
      belongs to the bin below. If ``bins`` does not divide 262140, an edge may cut an
      open cell: add twice the share of its pixels to ``ece``.
    - ``ks``: :math:`\delta + \max_g \min(U_g, D_g) / N`, since the scores of one open
      cell g are tied. With w wrong and r correct pixels and edges l and h, the running
      gap rises in it by at most :math:`U_g = w h` and falls by at most :math:`D_g = r
      (1 - l)`.
    - ``ece_em``: :math:`\delta + \frac2N \sum_g \max(U_g, D_g)` over the open cells
      that an edge cuts, at most ``bins`` - 1. Only :math:`\delta` if all bins err to
      one side, as those of an over-confident network do.
    - ``ece_sweep``: exact for scores that have moved to the middle of their cells. No
      bound holds against the scores themselves: a single pixel can decide where the
      accuracies stop ascending, and so the number of bins. If both sweeps end at one
      number of bins, the bound is that of ``ece_em``.
    - ``nll`` does not come from the cells. It is summed per pixel, in units of 2**-24,
      with the probability of the true class clamped at 1e-7.

    From 100,000 pixels on all metrics but two were within 1e-5 in our tests: ``ece_em``
    was off by up to 2.1e-5, and ``ece_sweep`` by up to 7e-3, where nearly all scores
    lie in a few cells next to 0 and 1. Below 100,000 pixels ``ks`` and ``ece_em`` may
    be off by the weight of a few pixels.

    With two classes it gives the metrics of the top label and of the positive class.
    With more classes it counts the top confidence and whether its class was correct.

    Args:
        num_classes (int): Defaults to 2.

    Raises:
        ValueError: ``num_classes`` is below 2.

    Example:
        >>> import torch
        >>> histogram = CalibrationHistogram()
        >>> histogram.update(torch.tensor([0.9, 0.8, 0.3]), torch.tensor([1, 0, 0]))
        >>> round(histogram.compute()['ece'], 4)
        0.4
    """

    STEPS = 131070
    CELLS = 2 * STEPS + 1
    NLL_UNIT = 2**24

    _TOLERANCE = 1 / 32  # of a step: on the point, up to float32 rounding
    _NLL_CLAMP = 1e-7

    def __init__(self, num_classes: int = 2) -> None:
        hint = ': a one-channel head has the two classes background and foreground'
        self.num_classes = check_integer(
            'num_classes', num_classes, at_least=2, hint=hint
        )
        self.reset()

    def reset(self) -> None:
        """Forget all pixels."""
        self.counts = torch.zeros(2 * self.CELLS, dtype=torch.int64)
        self.nll = torch.zeros((), dtype=torch.int64)

    def update(
        self,
        prob: Tensor | np.ndarray,
        label: Tensor | np.ndarray,
        ignore_index: int | None = 255,
    ) -> None:
        """Count the pixels of one image or batch.

        Args:
            prob (Tensor | np.ndarray): Floating point in [0, 1]. Two classes: ``(...)``
                probability of the positive class. C classes: ``(C, ...)``. Values up to
                1e-6 outside count as rounding and are clamped; float16 and bfloat16 are
                cast up.
            label (Tensor | np.ndarray): ``(...)`` of {0, ..., C - 1} and
                ``ignore_index``. Two classes: also ``(N, ...)`` for a ``prob`` of
                ``(N, 1, ...)``.
            ignore_index (int, optional): Pixels with this label are left out, and their
                probabilities are not read. None leaves none out. Defaults to 255.

        Raises:
            ValueError: Shapes differ, ``prob`` is no floating point type, has NaN
                or values outside [0, 1], or ``label`` has other values. Then nothing of
                the call is counted.
        """
        scores: tuple[Tensor, ...]
        if self.num_classes == 2:
            scores = binary_scores(prob, label, ignore_index)
        else:
            scores = top_label_scores(prob, label, ignore_index, self.num_classes)

        device = scores[0].device
        self.counts = self.counts.to(device)
        self.nll = self.nll.to(device)
        half = slice(2 * self.STEPS, 2 * self.STEPS + 2)
        before = self.counts[half].clone()
        work = _Buffers(min(CHUNK, len(scores[0])), scores[0])
        for score, *rest in zip(*(values.split(CHUNK) for values in scores)):
            low, high, outcome, whole, index, ones = work.first(len(score))
            outcome.copy_(rest[0])
            # To int64 through int32, which is faster than in one step.
            whole.copy_(self._cells(score, low, high))
            index.copy_(torch.add(outcome, whole, alpha=2, out=whole))
            self.counts.scatter_add_(0, index, ones)
            if self.num_classes == 2:
                # y - 1 first: p + y would round a small p away.
                likelihood = low.copy_(outcome).sub_(1).add_(score).abs_()
            else:
                likelihood = low.copy_(rest[1])
            surprise = _log_(likelihood.clamp_(min=self._NLL_CLAMP))
            self.nll -= whole.copy_(surprise.mul_(self.NLL_UNIT)).sum()

        if not torch.equal(before, self.counts[half]):
            self._split_half(*scores[:2])

    @classmethod
    def _cells(
        cls, score: Tensor, low: Tensor | None = None, high: Tensor | None = None
    ) -> Tensor:
        """Cell of each score: 2 i on point i, 2 i + 1 between i and i + 1."""
        low = torch.mul(score, cls.STEPS, out=low)
        high = torch.sub(low, cls._TOLERANCE, out=high).ceil_()
        return low.add_(cls._TOLERANCE).floor_().add_(high)

    def _split_half(self, score: Tensor, outcome: Tensor) -> None:
        """Move values just above 0.5 out of its cell: there is no tolerance at 0.5."""
        above = (self._cells(score) == self.STEPS) & (score > 0.5)
        beyond = outcome[above].long()
        ones = torch.ones_like(beyond)
        self.counts.scatter_add_(0, 2 * self.STEPS + beyond, -ones)
        self.counts.scatter_add_(0, 2 * self.STEPS + 2 + beyond, ones)

    def merge(self, other: CalibrationHistogram) -> None:
        """Add the pixels of another histogram; ValueError if it has other classes."""
        number = getattr(other, 'num_classes', type(other).__name__)
        if number != self.num_classes:
            raise ValueError(
                f'cannot merge a histogram of {number} classes into one of '
                f'{self.num_classes}'
            )
        self.counts += other.counts.to(self.counts.device)
        self.nll += other.nll.to(self.nll.device)

    @property
    def count(self) -> int:
        """Number of pixels."""
        return int(self.counts.sum())

    @property
    def foreground(self) -> int | None:
        """Number of pixels whose label is 1; None with more than two classes."""
        return int(self.counts[1::2].sum()) if self.num_classes == 2 else None

    @property
    def predicted(self) -> int | None:
        """Number of pixels with p > 0.5; None with more than two classes."""
        above = self.counts[2 * self.STEPS + 2 :]
        return int(above.sum()) if self.num_classes == 2 else None

    def score_table(self, mode: str = 'top_label') -> ScoreTable:
        """List the distinct scores with their outcomes.

        'top_label': the score is max(p, 1 - p) and the outcome whether the prediction p
        > 0.5 is correct. 'positive', of two classes only: the score is p and the
        outcome the label.
        """
        check_choice('mode', mode, MODES)
        if mode == 'positive' and self.num_classes > 2:
            raise ValueError(
                f"mode 'positive' needs two classes, not {self.num_classes}: use "
                "'top_label'"
            )

        counts = self.counts.cpu().numpy().reshape(-1, 2)
        lowest = 0
        if mode == 'top_label' and self.num_classes == 2:
            lowest = self.STEPS  # the cell of p = 0.5
            folded = counts[lowest::-1, ::-1].copy()  # class 0 predicted: 0 is correct
            folded[1:] += counts[lowest + 1 :]
            counts = folded

        total = counts[:, 0] + counts[:, 1]
        correct = counts[:, 1]
        filled = np.flatnonzero(total)

        return ScoreTable(
            filled + lowest, total[filled], correct[filled], 2 * self.STEPS
        )

    def compute(self, bins: int = 10, mode: str = 'top_label') -> dict[str, float]:
        """Compute every metric.

        Args:
            bins (int): Number of equal-width and equal-mass bins. Defaults to 10.
            mode (str): See :meth:`score_table`. Defaults to 'top_label'.

        Returns:
            dict[str, float]: Every figure of :data:`~mmaslp.metrics.catalogue.METRICS`
            that needs no images, and ``count``. In positive mode ``acc`` is the share
            of foreground. Without pixels ``count`` is 0 and all else nan.

        Raises:
            ValueError: ``bins`` is not in [1, 4096], or the mode does not fit.
        """
        check_bins(bins)
        scores = self.score_table(mode)
        nll = int(self.nll) / self.NLL_UNIT
        figures = figures_of_pixels(Pixels(scores, nll, bins))
        return {**figures, 'count': float(scores.total)}

    def state_dict(self) -> dict[str, Any]:
        """Return the cells that are not empty, as plain tensors and integers."""
        counts = self.counts.cpu().view(-1, 2)
        cells = counts.sum(1).nonzero().flatten()
        return {
            'cells': cells,
            'counts': counts[cells],
            'nll': int(self.nll),
            'levels': self.STEPS,
            'num_classes': self.num_classes,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Replace the state by one of :meth:`state_dict`; ValueError if none is."""
        missing = {'cells', 'counts', 'nll', 'levels', 'num_classes'} - set(state)
        if missing:
            raise ValueError(f'histogram state lacks {sorted(missing)}')
        for key, own in (('levels', self.STEPS), ('num_classes', self.num_classes)):
            if state[key] != own:
                raise ValueError(f'histogram state has {key} = {state[key]}, not {own}')

        cells, rows = (as_tensor(state[key], key) for key in ('cells', 'counts'))
        nll = as_tensor(state['nll'], 'nll')
        if (
            rows.shape != (cells.numel(), 2)
            or (rows < 0).any()
            or ((cells < 0) | (cells >= self.CELLS)).any()
            or nll.numel() != 1
            or nll < 0
        ):
            raise ValueError('histogram state is broken: cells and counts do not fit')

        counts = torch.zeros(self.CELLS, 2, dtype=torch.int64)
        counts[cells.long()] = rows.to(torch.int64)
        self.counts = counts.flatten()
        self.nll = nll.long().reshape(())


class _Buffers:
    """Memory for the steps of one update, so no step allocates its own."""

    def __init__(self, size: int, like: Tensor) -> None:
        self._all = (
            *like.new_empty(2, size),
            *torch.empty(2, size, dtype=torch.int32, device=like.device),
            torch.empty(size, dtype=torch.int64, device=like.device),
            torch.ones(size, dtype=torch.int64, device=like.device),
        )

    def first(self, number: int) -> tuple[Tensor, ...]:
        """Take the first ``number`` elements of each."""
        return tuple(buffer[:number] for buffer in self._all)


def _log_(values: Tensor) -> Tensor:
    """Logarithm in place; on the CPU numpy's is more than twice as fast as torch's."""
    if values.device.type != 'cpu':
        return values.log_()
    array = values.numpy()
    np.log(array, out=array)
    return values
