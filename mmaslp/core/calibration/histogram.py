"""The one streaming histogram that every calibration figure is computed from."""

import numpy as np
import torch

from .binned_metrics import binned_figures, brier_decomposition, debiased_l2, median_gap
from .binning import check_bins, equal_mass, equal_width, sweep
from .exact_scores import MOST, FewScores
from .inputs import CHUNK, binary_scores, top_label_scores
from .score_metrics import brier_score, ks_error
from .score_table import ScoreLevels

MODES = ('top_label', 'positive')


class CalibrationHistogram:
    r"""Counts of wrong and right pixels per level of the probability.

    Cells, not bins: the levels are i / 131070, so that every 8-bit and 16-bit map
    value and the edges of 10, 15, 30 or 34 equal bins are levels themselves, and
    between two levels lies one open cell. A value within 2.4e-7 of a level (float32
    rounding) counts as on it, save that all above 0.5 predict class 1; all others are
    represented by the midpoint of their open cell, at most :math:`\delta` = 3.8e-6
    away. Memory is 4 MB whatever the number of
    pixels, and everything is integer, so :meth:`merge` is exact, associative and
    commutative bit by bit. Up to 2**18 pixels, where a tie more or less can matter,
    the scores themselves are kept for the figures that sort all pixels
    (:class:`~.few_scores.FewScores`).

    **Error against float64.** 8-bit and 16-bit maps: rounding only. Float values:
    ``ece``, ``mce``, ``ace``, ``conf`` within :math:`\delta`; ``oe``, ``ue``,
    ``brier`` and its reliability within :math:`2\delta` = 7.7e-6. If ``bins`` does not
    divide 262140, an edge may cut an open cell, whose pixels then stay together: add
    twice their share to ``ece``. Where ties decide (``ece_em``, ``ece_sweep``,
    ``ks``): 2.4e-7 up to 2**18 pixels, but for scores that float32 cannot tell apart;
    beyond, scores of one open cell are tied: for ``ks`` add the share of the fullest
    open cell to :math:`\delta`. ``nll`` does not come from the cells but is summed per
    pixel beside them, with the probability of the true class clamped at 1e-7, in
    units of 2**-24.

    With two classes both the top label and the positive class can be read from it;
    with more classes the top confidence and whether it was right are counted.

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

    LEVELS = 131070
    CELLS = 2 * LEVELS + 1
    NLL_UNIT = 2**24

    _TOLERANCE = 1 / 32  # of a level: on it, but for float32 rounding
    _NLL_CLAMP = 1e-7

    def __init__(self, num_classes=2):
        if num_classes < 2:
            raise ValueError(
                f'num_classes must be at least 2, not {num_classes}: a one-channel '
                'head has the two classes background and foreground'
            )
        self.num_classes = num_classes
        self.reset()

    def reset(self):
        """Forget all pixels."""
        self.counts = torch.zeros(2 * self.CELLS, dtype=torch.int64)
        self.nll = torch.zeros((), dtype=torch.int64)
        self.few = self._no_scores()

    def update(self, prob, label, ignore_index=255):
        """Count the pixels of one image or batch.

        Args:
            prob (Tensor | np.ndarray): Floating point in [0, 1]. Two classes: (...)
                probability of the positive class. C classes: (C, ...). Values
                up to 1e-6 outside are taken for rounding and clamped; float16 and
                bfloat16 are cast up.
            label (Tensor | np.ndarray): (...) of {0, ..., C - 1} and ``ignore_index``.
            ignore_index (int): Pixels with this label count nowhere, and their
                probabilities are not looked at. Defaults to 255.

        Raises:
            ValueError: Shapes differ, ``prob`` is no floating point type, has NaN
                or values outside [0, 1], or ``label`` has other values. Nothing of
                the call has been counted then.
        """
        if self.num_classes == 2:
            scores = binary_scores(prob, label, ignore_index)
        else:
            scores = top_label_scores(prob, label, ignore_index, self.num_classes)
        device = scores[0].device
        self.counts, self.nll = self.counts.to(device), self.nll.to(device)
        half = slice(2 * self.LEVELS, 2 * self.LEVELS + 2)
        before = self.counts[half].clone()
        work = _Buffers(min(CHUNK, len(scores[0])), scores[0])
        for score, *rest in zip(*(each.split(CHUNK) for each in scores)):
            low, high, outcome, whole, index, ones = work.first(len(score))
            outcome.copy_(rest[0])
            # To int64 by way of int32, which is faster than in one step.
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
        if self._stays_few(len(scores[0])):
            self.few.add(*scores[:2])

    def _no_scores(self):
        # Methods of the class: a reference to this object would be a cycle, and its
        # 4 MB would stay until the garbage collector comes by.
        return FewScores(
            self.LEVELS, self._split_cells if self.num_classes == 2 else self._cells
        )

    def _stays_few(self, added):
        """Drop the scores themselves when they become too many."""
        if self.few is not None and self.few.number + added > MOST:
            self.few = None
        return self.few is not None

    @property
    def few_codes(self):
        """Tensor | None: (P,) the scores themselves, None if they are too many."""
        return None if self.few is None else self.few.codes()

    def merge_few(self, codes):
        """Replace the scores themselves by those of all parts of the histogram.

        Args:
            codes (Sequence[Tensor | None]): :attr:`few_codes` of every part.
        """
        self.few = self._no_scores()
        for part in codes:
            if self._stays_few(MOST + 1 if part is None else len(part)):
                self.few.add_codes(part)

    @classmethod
    def _cells(cls, score, low=None, high=None):
        """Cell of each score: 2 i on level i, 2 i + 1 between i and i + 1."""
        low = torch.mul(score, cls.LEVELS, out=low)
        high = torch.sub(low, cls._TOLERANCE, out=high).ceil_()
        return low.add_(cls._TOLERANCE).floor_().add_(high)

    @classmethod
    def _split_cells(cls, score):
        """The same, but that nothing is tolerated above 0.5, which predicts class 1."""
        cells = cls._cells(score)
        return cells.add_((cells == cls.LEVELS) & (score > 0.5))

    def _split_half(self, score, outcome):
        """Move what lies just above 0.5 out of its cell, where nothing is tolerated."""
        beyond = outcome[self._split_cells(score) > self._cells(score)].long()
        ones = torch.ones_like(beyond)
        self.counts.scatter_add_(0, 2 * self.LEVELS + beyond, -ones)
        self.counts.scatter_add_(0, 2 * self.LEVELS + 2 + beyond, ones)

    def merge(self, other):
        """Add the pixels of another histogram.

        Args:
            other (CalibrationHistogram): Of the same number of classes; unchanged.

        Raises:
            ValueError: The numbers of classes differ.
        """
        if other.num_classes != self.num_classes:
            raise ValueError(
                f'cannot merge a histogram of {other.num_classes} classes into '
                f'one of {self.num_classes}'
            )
        self.counts += other.counts.to(self.counts.device)
        self.nll += other.nll.to(self.nll.device)
        if self._stays_few(MOST + 1 if other.few is None else other.few.number):
            self.few.join(other.few)

    @property
    def count(self):
        """Number of pixels."""
        return int(self.counts.sum())

    def levels(self, mode='top_label', exact=False):
        """List the distinct scores with their outcomes.

        Args:
            mode (str): 'top_label': the score is max(p, 1 - p) and the outcome is
                whether the prediction p > 0.5 is right, so p = 0.5 predicts
                class 0 with confidence 0.5. 'positive': the score is p and the outcome
                is the label. Defaults to 'top_label'.
            exact (bool): Whether to list the scores themselves instead of the cells, if
                there are at most 2**18. Defaults to False.

        Returns:
            ScoreLevels: Empty if there are no pixels.

        Raises:
            ValueError: Unknown mode, or 'positive' with more than two classes.
        """
        if mode not in MODES:
            raise ValueError(f"mode must be 'top_label' or 'positive', not {mode!r}")
        if mode == 'positive' and self.num_classes > 2:
            raise ValueError(
                f"mode 'positive' needs two classes, not {self.num_classes}: use "
                "'top_label'"
            )
        if exact and self.few is not None:
            return self.few.score_levels(mode == 'top_label' and self.num_classes == 2)
        counts = self.counts.cpu().numpy().reshape(-1, 2)
        lowest = 0
        if mode == 'top_label' and self.num_classes == 2:
            lowest = self.LEVELS  # the cell of p = 0.5
            folded = counts[lowest::-1, ::-1].copy()  # class 0 predicted: 0 is right
            folded[1:] += counts[lowest + 1 :]
            counts = folded
        wrong, right = counts[:, 0], counts[:, 1]
        total = wrong + right
        filled = np.flatnonzero(total)
        return ScoreLevels(
            filled + lowest, total[filled], right[filled], 2 * self.LEVELS
        )

    def compute(self, bins=10, mode='top_label'):
        """Compute every figure.

        Args:
            bins (int): Number of equal-width and equal-mass bins. Defaults to 10.
            mode (str): See :meth:`levels`. Defaults to 'top_label'.

        Returns:
            dict[str, float]: ``ece``, ``oe``, ``ue``, ``mce``, ``ace``, ``acc``,
            ``conf`` (:func:`~.calibration.binned_figures`), ``median_gap``
            (:func:`~.calibration.median_gap`), ``ece_em`` and
            ``ece_sweep`` with ``sweep_bins`` (:mod:`~.calibration.binning`),
            ``ece_debiased`` (:func:`~.calibration.debiased_l2`), ``ks``
            (:func:`~.calibration.ks_error`), ``brier`` with
            ``brier_reliability``, ``brier_resolution`` and ``brier_uncertainty``
            (:func:`~.calibration.brier_decomposition`), ``nll`` and ``count``.
            In positive mode ``acc`` is the mean outcome, the share of
            foreground. Without pixels ``count`` is 0 and all else nan.

        Raises:
            ValueError: ``bins`` is no integer above 0, or the mode does not fit.
        """
        check_bins(bins)
        levels = self.levels(mode)
        ranked = levels if self.few is None else self.levels(mode, exact=True)
        count = levels.total
        table = equal_width(levels, bins)
        swept = sweep(ranked)
        brier = brier_score(levels)
        figures = {
            **binned_figures(table),
            'median_gap': median_gap(table),
            'ece_em': binned_figures(equal_mass(ranked, bins))['ece'],
            'ece_sweep': binned_figures(swept)['ece'],
            'sweep_bins': len(swept.count) if count else float('nan'),
            'ece_debiased': debiased_l2(table),
            'ks': ks_error(ranked),
            'brier': brier,
            **brier_decomposition(table, brier),
            'nll': self.mean_nll(count),
            'count': count,
        }
        return {key: float(value) for key, value in figures.items()}

    def mean_nll(self, count):
        """Negative log-likelihood per pixel, nan for no pixels."""
        return int(self.nll) / self.NLL_UNIT / count if count else float('nan')

    def state_dict(self):
        """Return the state as plain tensors and integers.

        Returns:
            dict: ``cells`` (K,) and ``counts`` (K, 2) of the cells that are not empty,
            ``nll`` in units of 2**-24, ``few`` (P,) the scores themselves while they
            are few, else None, ``levels`` and ``num_classes``.
        """
        counts = self.counts.cpu().view(-1, 2)
        cells = counts.sum(1).nonzero().flatten()
        return {
            'cells': cells,
            'counts': counts[cells],
            'nll': int(self.nll),
            'few': self.few_codes,
            'levels': self.LEVELS,
            'num_classes': self.num_classes,
        }

    def load_state_dict(self, state):
        """Replace the state.

        Args:
            state (dict): As :meth:`state_dict` returned it; earlier versions had no
                ``few``.

        Raises:
            ValueError: The state lacks a key, belongs to other levels or another
                number of classes, or holds impossible counts.
        """
        missing = {'cells', 'counts', 'nll', 'levels', 'num_classes'} - set(state)
        if missing:
            raise ValueError(f'histogram state lacks {sorted(missing)}')
        for key, own in (('levels', self.LEVELS), ('num_classes', self.num_classes)):
            if state[key] != own:
                raise ValueError(
                    f'histogram state has {key} = {state[key]}, this histogram {own}'
                )
        cells, rows = torch.as_tensor(state['cells']), torch.as_tensor(state['counts'])
        if (
            rows.shape != (len(cells), 2)
            or (rows < 0).any()
            or ((cells < 0) | (cells >= self.CELLS)).any()
        ):
            raise ValueError('histogram state is broken: cells and counts do not fit')
        few = state.get('few')
        if few is not None and len(few) != int(rows.sum()):
            raise ValueError('histogram state is broken: few does not fit the counts')
        counts = torch.zeros(self.CELLS, 2, dtype=torch.int64)
        counts[cells.long()] = rows.to(torch.int64)
        self.counts = counts.flatten()
        self.few = None if few is None else self._no_scores()
        if few is not None:
            self.few.add_codes(few)
        self.nll = torch.tensor(int(state['nll']), dtype=torch.int64)


class _Buffers:
    """Memory for the steps of one update, so that no step has to ask for its own."""

    def __init__(self, size, like):
        self._all = (
            *like.new_empty(2, size),
            *torch.empty(2, size, dtype=torch.int32, device=like.device),
            torch.empty(size, dtype=torch.int64, device=like.device),
            torch.ones(size, dtype=torch.int64, device=like.device),
        )

    def first(self, number):
        """Take as many elements of each."""
        return tuple(each[:number] for each in self._all)


def _log_(values):
    """Logarithm in place; numpy's is over twice as fast as torch's on the CPU."""
    if values.device.type != 'cpu':
        return values.log_()
    array = values.numpy()
    np.log(array, out=array)
    return values
