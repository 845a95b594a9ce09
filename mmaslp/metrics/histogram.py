"""The one streaming histogram that every calibration metric is computed from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..common.arguments import check_array, check_choice, check_integer, reading
from ..common.arrays import PIXELS_AT_ONCE
from ..common.maps import PixelScores
from .bins import ScoreTable, check_bins
from .errors import Pixels, pixel_metrics

MODES = ('top_label', 'positive')


# Points of the probability, and cells: a point each, and one between two points.
STEPS = 131070
CELLS = 2 * STEPS + 1
# Words of eight counts that hold both outcomes of every cell.
WORDS = -(-2 * CELLS // 8)
NLL_UNIT = 2**24
# Pixels up to which sorting codes takes less time than a look at every cell.
SMALL = 2**15
_TOLERANCE = 1 / 32  # of a step: on the point, up to float32 rounding


@dataclass(frozen=True, eq=False)
class PixelCounts:
    """The cells of a histogram that are not empty.

    Attributes:
        scores (ScoreTable): Two classes: p of the positive class, the outcome is the
            label. More: the top confidence, the outcome whether its class is correct.
        nll (int): Summed over the pixels, in units of 1 / ``NLL_UNIT``.
        num_classes (int): Number of classes.
    """

    scores: ScoreTable
    nll: int
    num_classes: int = 2

    @classmethod
    def of(
        cls,
        prob: Tensor | np.ndarray,
        label: Tensor | np.ndarray,
        ignore_index: int | None = 255,
        num_classes: int = 2,
    ) -> 'PixelCounts':
        """Count one image, see :meth:`CalibrationHistogram.update`."""
        scores = PixelScores.from_arrays(prob, label, ignore_index, num_classes)
        return cls.of_scores(scores, num_classes)

    @classmethod
    def of_scores(cls, scores: PixelScores, num_classes: int = 2) -> 'PixelCounts':
        """Count pixels that are checked.

        A small image needs no histogram of all cells, and a larger one none of 64 bits.
        """
        if scores.score.numel() <= SMALL:
            [(codes, nll)] = _coded(scores)
            code, number = np.unique(codes.cpu().numpy(), return_counts=True)
            return cls(_score_table(code, number), int(nll), num_classes)

        dtype = torch.int32
        if scores.score.numel() >= 2**31:
            dtype = torch.int64
        counts = torch.zeros(8 * WORDS, dtype=dtype, device=scores.score.device)
        one = torch.ones((), dtype=dtype, device=scores.score.device)
        total = 0
        for codes, nll in _coded(scores):
            counts.scatter_add_(0, codes.long(), one.expand(codes.shape))
            total += int(nll)

        by_code = counts.cpu().numpy()
        code = _places_filled(by_code)
        number = by_code[code].astype(np.int64)
        return cls(_score_table(code, number), total, num_classes)

    @property
    def foreground(self) -> int | None:
        """Number of pixels whose label is 1; None with more than two classes."""
        if self.num_classes != 2:
            return None
        return int(self.scores.correct.sum())

    @property
    def no_foreground(self) -> bool:
        """bool: Whether there are pixels of two classes, and all are background."""
        return self.foreground == 0 and self.scores.total > 0

    def score_table(self, mode: str = 'top_label') -> ScoreTable:
        """List the distinct scores with their outcomes.

        'top_label': the score is max(p, 1 - p) and the outcome whether the prediction p
        > 0.5 is correct. 'positive', of two classes only: the score is p and the
        outcome the label.
        """
        if self.num_classes != 2:
            # Of more classes only the top label is counted.
            check_choice('mode', mode, ['top_label'])
            return self.scores
        check_choice('mode', mode, MODES)
        if mode == 'positive':
            return self.scores
        return self.scores.top_label()

    def compute(self, bins: int = 10, mode: str = 'top_label') -> dict[str, float]:
        """Compute every metric that needs no images."""
        return pixel_metrics(
            Pixels(self.score_table(mode), self.nll / NLL_UNIT, check_bins(bins))
        )


def _places_filled(counts: np.ndarray) -> np.ndarray:
    """Places of ``(8 * WORDS,)`` counts that are not 0: of few, by words of eight."""
    filled = counts != 0
    words = np.flatnonzero(filled.view(np.uint64) != 0)
    places = np.flatnonzero(filled.reshape(-1, 8)[words])
    return 8 * words[places >> 3] + (places & 7)


def _score_table(code: np.ndarray, number: np.ndarray) -> ScoreTable:
    """Of codes ``(K,)``, ascending, and how often each occurs."""
    # Both outcomes of a cell are neighbours.
    cell = code >> 1
    first = np.ones(len(cell), bool)
    np.not_equal(cell[1:], cell[:-1], out=first[1:])
    counts = np.zeros((np.count_nonzero(first), 2), np.int64)
    counts[np.cumsum(first) - 1, code & 1] = number
    cells = cell[first].astype(np.int64)
    return ScoreTable(cells, counts[:, 0] + counts[:, 1], counts[:, 1], 2 * STEPS)


def _coded(scores: PixelScores) -> Iterator[tuple[Tensor, Tensor]]:
    """Number pixels by cell and outcome, and sum their NLL, a chunk at a time."""
    outcomes = scores.outcome.split(PIXELS_AT_ONCE)
    for number, score in enumerate(scores.score.split(PIXELS_AT_ONCE)):
        outcome = outcomes[number]
        if scores.prob_of_label is None:
            # y - 1 first: p + y would round a small p away.
            true = (outcome.to(score) - 1).add_(score).abs_()
        else:
            start = number * PIXELS_AT_ONCE
            true = scores.prob_of_label[start : start + PIXELS_AT_ONCE]
        codes = cells_of(score).mul_(2).add_(outcome.int())
        log = _log(true.clamp(min=1e-7))
        yield codes, log.mul_(-NLL_UNIT).int().sum()


def _log(values: Tensor) -> Tensor:
    """The logarithm in place, on the CPU by numpy: that is more than twice as fast."""
    if values.device.type == 'cpu':
        array = values.numpy()
        np.log(array, out=array)
        return values
    return values.log_()


def cells_of(score: Tensor) -> Tensor:
    """Cell of each score, int32: 2 i on point i, 2 i + 1 between i and i + 1."""
    scaled = score * STEPS
    last = (scaled + _TOLERANCE).floor_()
    cell = scaled.sub_(_TOLERANCE).ceil_().add_(last).int()
    # There is no tolerance at 0.5: every value above it predicts class 1.
    return cell.add_((cell == STEPS) & (score > 0.5))


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

    def __init__(self, num_classes: int = 2) -> None:
        self.num_classes = check_integer(
            'num_classes',
            num_classes,
            at_least=2,
            hint=': a one-channel head has the two classes background and foreground',
        )
        self.reset()

    @torch.inference_mode(False)  # else it could only be updated in that mode
    def reset(self) -> None:
        """Forget all pixels."""
        # numpy's zeros take no memory until they are written to.
        self.counts = torch.from_numpy(np.zeros(2 * CELLS, np.int64))
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
        self.update_scores(
            PixelScores.from_arrays(prob, label, ignore_index, self.num_classes)
        )

    def update_scores(self, scores: PixelScores) -> None:
        """Count pixels, see :class:`~mmaslp.common.maps.PixelScores`."""
        self.counts = self.counts.to(scores.score.device)
        self.nll = self.nll.to(scores.score.device)
        for codes, nll in _coded(scores):
            places = codes.long()
            self.counts.scatter_add_(0, places, torch.ones_like(places))
            self.nll += nll

    def merge(self, other: 'CalibrationHistogram | PixelCounts') -> None:
        """Add the pixels of another histogram; ValueError if it has other classes."""
        if other is self or getattr(other, 'num_classes', None) != self.num_classes:
            refused = f'{other!r:.100}'
            if other is self:
                refused = 'itself'
            raise ValueError(
                f'merge takes another histogram, of {self.num_classes} classes, and '
                f'not {refused}'
            )
        if isinstance(other, CalibrationHistogram):
            other = other.pixels()
        scores = other.scores
        self._add(2 * scores.score, scores.count - scores.correct)
        self._add(2 * scores.score + 1, scores.correct)
        self.nll += other.nll

    def _add(self, codes: np.ndarray, number: np.ndarray) -> None:
        """Add numbers of pixels by cell and outcome."""
        device = self.counts.device
        places = torch.from_numpy(codes).to(device)
        self.counts.index_add_(0, places, torch.from_numpy(number).to(device))

    @property
    def count(self) -> int:
        """Number of pixels."""
        return int(self.counts.sum())

    def pixels(self) -> PixelCounts:
        """Return the cells that are not empty."""
        counts = self.counts.cpu().numpy()
        codes = np.flatnonzero(counts != 0)
        return PixelCounts(
            _score_table(codes, counts[codes]), int(self.nll), self.num_classes
        )

    def compute(self, bins: int = 10, mode: str = 'top_label') -> dict[str, float]:
        """Compute every metric.

        Args:
            bins (int): Number of equal-width and equal-mass bins. Defaults to 10.
            mode (str): See :meth:`PixelCounts.score_table`. Defaults to 'top_label'.

        Returns:
            dict[str, float]: Every metric of :mod:`~mmaslp.metrics.errors`, and
            ``count``. In positive mode ``acc`` is the share of foreground. Without
            pixels ``count`` is 0 and all else nan.

        Raises:
            ValueError: ``bins`` is not in [1, 4096], or the mode does not fit.
        """
        return {**self.pixels().compute(bins, mode), 'count': float(self.count)}

    def state_dict(self) -> dict[str, Any]:
        """Return the cells that are not empty, as plain tensors and integers."""
        counts = self.counts.cpu().view(-1, 2)
        cells = counts.sum(1).nonzero().flatten()
        return {
            'cells': cells,
            'counts': counts[cells],
            'nll': int(self.nll),
            'levels': STEPS,
            'num_classes': self.num_classes,
        }

    @torch.inference_mode(False)  # else it could only be updated in that mode
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Replace the state by one of :meth:`state_dict`; ValueError if none is."""
        with reading('histogram state is broken'):
            kept = {key: torch.as_tensor(value).cpu() for key, value in state.items()}
            check_choice('levels', state['levels'], [STEPS])
            check_choice('num_classes', state['num_classes'], [self.num_classes])
            cells = check_array(
                'cells', kept['cells'], (-1,), int, low=0, high=CELLS - 1
            )
            check_array('steps of cells', np.diff(cells), (-1,), int, low=1)
            counts = check_array('counts', kept['counts'], (len(cells), 2), int, low=0)
            nll = check_array('nll', kept['nll'], (), int, low=0)
        self.reset()
        self.counts.view(-1, 2)[torch.from_numpy(cells)] = torch.from_numpy(counts)
        self.nll = torch.from_numpy(nll)
