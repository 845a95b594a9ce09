"""Errors of tables of bins and of scores, and the metrics that need only these."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import inf

import numpy as np

from .bins import (
    BinTable,
    ScoreTable,
    equal_mass,
    equal_width,
    ratio,
    signed_gap,
    sweep,
)

# NLL of a pixel is at most -log(1e-7), since probabilities are clamped.
LARGEST_NLL = 16.2


@dataclass(frozen=True)
class Metric:
    """A metric: its names for files and people. Those of ours have a function too.

    Args:
        key (str): Its name in results and files.
        better (str): 'lower', 'higher' or '' where neither is better.
        label (str): Its name for people.
        text (str): What it means, in a sentence.
        low (float): Its least value; also ``high``, its largest.
        unit (str): '%' or ''.
    """

    key: str
    better: str = ''
    label: str = ''
    text: str = ''
    low: float = 0.0
    high: float = 1.0
    unit: str = ''

    def holds(self, value: float, rounding: float = 0.0) -> bool:
        """Whether a value lies in its range; nan, of what is undefined, does."""
        return not (value < self.low - rounding or value > self.high + rounding)


def binned_error(table: BinTable) -> np.ndarray:
    r"""Calibration error :math:`\sum_b \frac{n_b}{N} |c_b - a_b|`.

    With n_b pixels, confidence c_b and accuracy a_b in bin b of N pixels. Source: `Guo
    et al. <https://arxiv.org/abs/1706.04599>`_.
    """
    return _where_known(table, np.nansum(_weighted_gap(table), -1))


def over_confidence(table: BinTable) -> np.ndarray:
    r"""Error of over-confident bins.

    .. math:: \sum_{b: c_b > a_b} \frac{n_b}{N} c_b |c_b - a_b|

    Source: `Thulasidasan et al. <https://arxiv.org/abs/1905.11001>`_.
    """
    weighted = _weighted_gap(table) * table.mean_conf
    return _where_known(table, np.where(signed_gap(table) > 0, weighted, 0).sum(-1))


def under_confidence(table: BinTable) -> np.ndarray:
    """Error of under-confident bins, see :func:`over_confidence`."""
    weighted = _weighted_gap(table) * table.mean_conf
    return _where_known(table, np.where(signed_gap(table) < 0, weighted, 0).sum(-1))


def largest_gap(table: BinTable) -> np.ndarray:
    """Maximum of the gaps of the bins that are not empty."""
    return _where_known(
        table, np.nan_to_num(np.abs(signed_gap(table))).max(-1, initial=0)
    )


def average_gap(table: BinTable) -> np.ndarray:
    """Unweighted mean of the gaps: a bin of few pixels counts as much as any other.

    This is the *average* calibration error, and not the *adaptive* calibration error of
    Nixon et al., which has bins of equal mass and is ``ece_em``. Sources: Neumann,
    Zisserman and Vedaldi, Relaxed Softmax, 2018, and for segmentation
    `Barfoot et al. <https://arxiv.org/abs/2403.06759>`_, MONAI's ``AVERAGE``.
    """
    return ratio(np.nansum(np.abs(signed_gap(table)), -1), (table.count > 0).sum(-1))


def accuracy(table: BinTable) -> np.ndarray:
    """Share of correct pixels; in positive mode of foreground."""
    return ratio(table.correct.sum(-1), table.total)


def confidence(table: BinTable) -> np.ndarray:
    """Mean confidence of all pixels."""
    return ratio(table.conf.sum(-1), table.total)


def debiased_l2(table: BinTable) -> np.ndarray:
    r"""De-biased L2 calibration error, root taken.

    .. math::
        \sqrt{\max\Big(0, \sum_b \frac{n_b}{N}
        \Big((c_b - a_b)^2 - \frac{a_b (1 - a_b)}{n_b - 1}\Big)\Big)}

    The correction removes the part of the squared gap that comes from sampling n_b
    outcomes. A bin with one pixel allows no such estimate and counts as 0, as in the
    authors' library.
    """
    accuracy = table.accuracy
    noise = ratio(accuracy * (1 - accuracy), table.count - 1)
    squared = np.nansum(table.weight * (signed_gap(table) ** 2 - noise), -1)
    return _where_known(table, np.sqrt(np.maximum(squared, 0)))


def squared_error(table: BinTable) -> np.ndarray:
    """Mean over pixels of the squared gap of their bin."""
    return _where_known(table, np.nansum(table.weight * signed_gap(table) ** 2, -1))


def uncertainty(table: BinTable) -> np.ndarray:
    """Brier score of the mean accuracy."""
    right = accuracy(table)
    return right * (1 - right)


def ks_error(table: ScoreTable) -> float:
    r"""Kolmogorov-Smirnov calibration error.

    .. math::
        \max_s \Big| \frac1N \sum_{i: c_i \le s} (c_i - r_i) \Big|

    This is the largest difference between the two cumulative sums. Equal scores enter
    together.
    """
    running = np.cumsum(table.score * table.count - table.unit * table.correct)
    return float(ratio(np.abs(running).max(initial=0) / table.unit, table.total))


def brier_score(table: ScoreTable) -> float:
    r"""Mean squared difference :math:`\frac1N \sum_i (c_i - r_i)^2`, nan for none.

    For two classes it is the same for the top label and the positive class.
    """
    wrong = table.count - table.correct
    squares = table.correct * (1 - table.conf) ** 2 + wrong * table.conf**2
    return float(ratio(squares.sum(), table.total))


def average_precision(table: ScoreTable) -> float:
    r"""Area under the precision-recall curve as a step function.

    :math:`\sum_n (R_n - R_{n-1}) P_n` over the thresholds from high to low, as
    scikit-learn's ``average_precision_score``. For scores of the positive class.
    """
    precision = np.cumsum(table.correct[::-1]) / np.cumsum(table.count[::-1])
    return float(ratio((table.correct[::-1] * precision).sum(), table.correct.sum()))


def roc_auc(table: ScoreTable) -> float:
    """Area under the ROC curve: P(score of a positive > score of a negative).

    Ties count one half, as in scikit-learn's ``roc_auc_score``. For scores of the
    positive class.
    """
    return float(ordered_pairs(table.correct, table.count - table.correct))


def ordered_pairs(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Share of the pairs in which the positive has the larger score; a tie is half.

    ``positive`` and ``negative`` count ``(..., K)`` cases by ascending score.
    """
    positive = np.asarray(positive, float)
    negative = np.asarray(negative, float)
    below = np.cumsum(negative, -1) - negative
    pairs = positive.sum(-1) * negative.sum(-1)
    return ratio((positive * (below + negative / 2)).sum(-1), pairs)


def _weighted_gap(table: BinTable) -> np.ndarray:
    return table.weight * np.abs(signed_gap(table))


def _where_known(table: BinTable, values: np.ndarray) -> np.ndarray:
    """Values, nan where there is no pixel."""
    return np.where(table.total > 0, values, np.nan)


@dataclass(frozen=True)
class Pixels:
    """All pixels of a set: their scores, their summed NLL, a number of bins."""

    scores: ScoreTable
    nll: float
    n_bins: int

    @cached_property
    def bins(self) -> BinTable:
        """Bins of equal width."""
        return equal_width(self.scores, self.n_bins)

    @cached_property
    def swept(self) -> BinTable:
        """Bins of equal mass whose accuracies ascend."""
        return sweep(self.scores)


def error_in_equal_mass(pixels: Pixels) -> np.ndarray:
    """Calibration error in bins of equally many pixels."""
    return binned_error(equal_mass(pixels.scores, pixels.n_bins))


def error_of_sweep(pixels: Pixels) -> np.ndarray:
    """Calibration error in the bins of :func:`~.bins.sweep`."""
    return binned_error(pixels.swept)


def bins_of_sweep(pixels: Pixels) -> float:
    """Number of bins of :func:`~.bins.sweep`; nan without pixels."""
    return len(pixels.swept.count) or np.nan


def ks_of_pixels(pixels: Pixels) -> float:
    """:func:`ks_error` of all scores."""
    return ks_error(pixels.scores)


def brier_of_pixels(pixels: Pixels) -> float:
    """:func:`brier_score` of all scores."""
    return brier_score(pixels.scores)


def reliability(pixels: Pixels) -> np.ndarray:
    """Mean squared gap of the bins, see :func:`squared_error`."""
    return squared_error(pixels.bins)


def uncertainty_of_pixels(pixels: Pixels) -> np.ndarray:
    """:func:`uncertainty` of all bins."""
    return uncertainty(pixels.bins)


def mean_nll(pixels: Pixels) -> np.ndarray:
    """NLL of a pixel in the mean."""
    return ratio(pixels.nll, pixels.scores.total)


def resolution(pixels: Pixels) -> np.ndarray:
    r"""What makes brier = reliability - resolution + uncertainty hold exactly.

    It is the generalised resolution: Murphy's
    :math:`\sum_b n_b (a_b - \bar a)^2 / N` plus what the spread of the scores inside
    the bins explains; both agree when every bin holds one score.
    """
    bins = pixels.bins
    return squared_error(bins) + uncertainty(bins) - brier_score(pixels.scores)


@dataclass(frozen=True, kw_only=True)
class BinMetric(Metric):
    """A metric of sums per bin ``(..., B)``: of many resamples at once."""

    function: Callable[[BinTable], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class PixelMetric(Metric):
    """A metric that needs the score of every pixel."""

    function: Callable[[Pixels], float | np.ndarray]


BIN_METRICS = (
    BinMetric(
        key='ece',
        function=binned_error,
        better='lower',
        label='ECE',
        text=(
            'Expected calibration error: the mean distance between confidence and '
            'accuracy over all pixels, in bins of equal width.'
        ),
    ),
    BinMetric(
        key='oe',
        function=over_confidence,
        better='lower',
        label='over-confidence error',
        text=(
            'The part of the ECE in bins whose confidence is above the accuracy, each '
            'gap weighted by its confidence (OE).'
        ),
    ),
    BinMetric(
        key='ue',
        function=under_confidence,
        better='lower',
        label='under-confidence error',
        text='The same for bins whose confidence is below the accuracy (UE).',
    ),
    BinMetric(
        key='mce',
        function=largest_gap,
        better='lower',
        label='MCE',
        text='Maximum calibration error: the largest gap of all bins.',
    ),
    BinMetric(
        key='ace',
        function=average_gap,
        better='lower',
        label='average calibration error',
        text='The mean gap of all bins that are not empty.',
    ),
    BinMetric(
        key='ece_debiased',
        function=debiased_l2,
        better='lower',
        label='de-biased error',
        text='The root of the mean squared gap, less what sampling alone gives.',
    ),
    BinMetric(
        key='acc',
        function=accuracy,
        better='higher',
        label='accuracy',
        text='The share of pixels whose class is right.',
    ),
    BinMetric(
        key='conf',
        function=confidence,
        label='confidence',
        text=(
            'The mean confidence of all pixels. Above the accuracy, the model is '
            'over-confident on the whole.'
        ),
    ),
)

PIXEL_METRICS = (
    PixelMetric(
        key='ece_em',
        function=error_in_equal_mass,
        better='lower',
        label='ECE in bins of equal mass',
        text='The ECE in bins of equally many pixels.',
    ),
    PixelMetric(
        key='ece_sweep',
        function=error_of_sweep,
        better='lower',
        label='ECE sweep',
        text='The ECE in the most bins of equal mass whose accuracies ascend.',
    ),
    PixelMetric(
        key='sweep_bins',
        function=bins_of_sweep,
        label='bins of the sweep',
        text='How many bins the sweep has.',
        high=inf,
    ),
    PixelMetric(
        key='ks',
        function=ks_of_pixels,
        better='lower',
        label='KS error',
        text='The largest sum of confidence less accuracy up to any score.',
    ),
    PixelMetric(
        key='brier',
        function=brier_of_pixels,
        better='lower',
        label='Brier score',
        text=(
            'The mean squared distance between probability and mask. It also falls '
            'with better accuracy.'
        ),
    ),
    PixelMetric(
        key='brier_reliability',
        function=reliability,
        better='lower',
        label='Brier, reliability',
        text='The mean squared gap of the bins.',
    ),
    PixelMetric(
        key='brier_resolution',
        function=resolution,
        better='higher',
        label='Brier, resolution',
        text='How far the accuracies of the bins are apart.',
        low=-1.0,
    ),
    PixelMetric(
        key='brier_uncertainty',
        function=uncertainty_of_pixels,
        label='Brier, uncertainty',
        text='The Brier score of the mean accuracy.',
    ),
    PixelMetric(
        key='nll',
        function=mean_nll,
        better='lower',
        label='NLL',
        text=(
            'The mean negative logarithm of the probability of the true class. '
            'Confident mistakes cost most.'
        ),
        high=LARGEST_NLL,
    ),
)


def binned_metrics(table: BinTable) -> dict[str, np.ndarray]:
    """Compute every metric of the sums per bin, ``(...)`` each."""
    return {metric.key: metric.function(table) for metric in BIN_METRICS}


def pixel_metrics(pixels: Pixels) -> dict[str, float]:
    """Compute every metric that needs no images."""
    values = {}
    for key, value in binned_metrics(pixels.bins).items():
        values[key] = float(value)
    for metric in PIXEL_METRICS:
        values[metric.key] = float(metric.function(pixels))
    return values
