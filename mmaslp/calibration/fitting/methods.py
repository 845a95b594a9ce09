"""The methods that fit a curve of the logit, and the rule that picks one out of fold.

A method is one function: it fits a curve to counts of labels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize, special

from ...common.bands import NUM_BANDS
from ..curves import CENTRES, LIMIT, SIDE, Curve, evaluate
from ..regressions import FOLDS

# Mean images of all bands, added to the pixels of each band. Of .2 to 4, 2 had the best
# Brier score and ECE out of fold on eight validation sets, at an NLL within .0002.
PRIOR_IMAGES = 2.0
# Images' worth of wrong pixels at the end of the logits: no pixel is certain. Of .01 to
# .0003, .003 made the NLL worse by 1 % and more in as few draws of 8, 15 and 30
# validation images of eight networks as .01 (8 of 480; .001 in 11). Where few pixels
# are wrong, as in volumes, .01 outweighed them: a T of 1.63 where 1.27 is best.
DOUBT_IMAGES = 0.003
# 'auto' draws the curve of n images towards none: pixels that agree with the network
# count (17 / n)^2 times as much as theirs, so 17 images go half-way. Of 12 to 18, on
# validation images of 23 networks, 17 was the least by which at most 2 % of 690 draws
# of 10, 20 and 40 images made the NLL worse by 1 % and more: 1.7 %, and 1.7 % on test
# images. With 12 it was 2.3 and 2.8 %. The price is 6 % of the mean gain, and a fifth
# of that of ten images (``benchmarks/few_images.py``). Drawing by the standard error
# of the gain instead made more draws worse at the same mean gain.
HALFWAY_IMAGES = 17.0
POWER = 2.0


def share_of_correction(images: int) -> float:
    """How much of the correction that so many images suggest is made, of 1."""
    return 1 / (1 + (HALFWAY_IMAGES / images) ** POWER)


def fit_curves(
    counts: np.ndarray,
    images: int,
    method: str,
    by: str,
    target: str,
    halfway: float = 0.0,
) -> list[Curve]:
    """Fit one curve, or one for each band, to ``(B, CELLS, 2)`` counts of labels.

    ``halfway`` draws it towards none, see :data:`HALFWAY_IMAGES`: it adds the same
    pixels once more, with labels as probable as the network says.
    """
    logit = CENTRES
    prob = 1 / (1 + np.exp(-logit))
    agreeing = counts.sum(-1, keepdims=True) * np.stack([1 - prob, prob], -1)
    counts = counts + (halfway / images) ** POWER * agreeing

    if target == 'confidence':
        logit = logit[SIDE + 1 :]
        counts = counts[:, SIDE::-1, ::-1] + counts[:, SIDE + 1 :]

    whole = counts.sum(0)
    if by == 'band':
        counts_of_curves = counts + PRIOR_IMAGES / images * whole
    else:
        counts_of_curves = whole[None].copy()

    pseudo_count = DOUBT_IMAGES / images * whole.sum()
    counts_of_curves[:, -1, 0] += pseudo_count
    if target == 'probability':
        counts_of_curves[:, 0, 1] += pseudo_count
    fit = FITS[method]
    return [fit(logit, counts_of_curve) for counts_of_curve in counts_of_curves]


def identity(logit: np.ndarray, counts: np.ndarray) -> Curve:
    """Leave every logit as it is."""
    return _line(logit, 1.0, 0.0)


def temperature(logit: np.ndarray, counts: np.ndarray) -> Curve:
    r"""Divide by the T of the lowest NLL of these counts: :math:`z / T`.

    They hold a doubt beside the images, see :data:`DOUBT_IMAGES`.
    """
    return _line(logit, _lowest_nll(logit[:, None], counts)[0], 0.0)


def platt(logit: np.ndarray, counts: np.ndarray) -> Curve:
    """Scale and shift, :math:`a z + c`, at the lowest NLL of these counts."""
    ones = np.ones_like(logit)
    slope, shift = _lowest_nll(np.stack([logit, ones], 1), counts)
    if slope < SLOPES[0]:  # the curve is flat, and needs the shift of a flat one
        (shift,) = _lowest_nll(ones[:, None], counts)
    return _line(logit, slope, shift)


def isotonic(logit: np.ndarray, counts: np.ndarray) -> Curve:
    """Isotonic regression, linear between the centres of its blocks."""
    filled = np.flatnonzero(counts.sum(1))
    total = counts[filled].sum(1)
    fit = optimize.isotonic_regression(counts[filled, 1] / total, weights=total)
    first = fit.blocks[:-1]
    centres = np.add.reduceat(logit[filled] * total, first)
    centres /= np.add.reduceat(total, first)
    rate = np.clip(fit.x[first], 1e-7, 1 - 1e-7)
    level = np.log(rate / (1 - rate))
    knots = np.concatenate([[min(logit[0], 0.0)], centres, [LIMIT]])
    level = np.concatenate([level[:1], level, level[-1:]])
    # Knots that are nearer to the one before are the same but for rounding. Where the
    # curve is flat it gets a slope, so that the order of pixels stays.
    apart = np.diff(knots, prepend=-np.inf) > 1e-9
    return knots[apart], (level + 1e-3 * knots)[apart]


# How many numbers a method chooses: the fewer, the simpler.
PARAMETERS = {identity: 0, temperature: 1, platt: 2, isotonic: 6}
# What :func:`fit_curves` fits, and ``fit_calibrator`` compares.
FITS = {method.__name__: method for method in PARAMETERS}


# A curve that falls, or does not rise, would change the order of pixels.
SLOPES = 2.0**-10, 2.0**10


def _line(logit: np.ndarray, slope: float, shift: float) -> Curve:
    ends = np.array([min(logit[0], 0.0), LIMIT])
    return ends, np.clip(slope, *SLOPES) * ends + shift


def _lowest_nll(inputs: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Weights w of the lowest NLL of sigmoid(inputs @ w), by Newton's method."""
    total = counts.sum(1)
    positives = counts[:, 1]
    weights = np.zeros(inputs.shape[1])

    def loss(tried: np.ndarray) -> float:
        score = inputs @ tried
        return total @ np.logaddexp(0, score) - positives @ score

    for _ in range(50):
        prob = 1 / (1 + np.exp(np.minimum(-inputs @ weights, 700)))
        hessian = inputs.T @ (inputs * (total * prob * (1 - prob))[:, None])
        gradient = inputs.T @ (total * prob - positives)
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]  # it may be singular
        while loss(weights - step) > loss(weights) and np.abs(step).max() > 1e-9:
            step /= 2
        weights = weights - step
        if np.abs(step).max() < 1e-9:
            break
    return weights


METRICS = ('nll', 'brier', 'ece_band', 'ece')
BINS = 5  # the upper half of ten equal bins on [0, 1], where confidences lie


@dataclass(frozen=True)
class OutOfFold:
    """``(M,)`` metrics out of fold, and ``(G, M)`` without each group."""

    metrics: np.ndarray
    without: np.ndarray

    @classmethod
    def of_losses(cls, losses: np.ndarray, groups: np.ndarray) -> 'OutOfFold':
        """Means of ``(N, M)`` losses of cases of ``(N,)`` groups."""
        sums = np.stack([np.bincount(groups, column) for column in losses.T], 1)
        number = np.bincount(groups)
        rest = (sums.sum(0) - sums) / np.maximum(number.sum() - number, 1)[:, None]
        return cls(losses.mean(0), rest[number > 0])

    def minus(self, other: 'OutOfFold') -> tuple[np.ndarray, np.ndarray]:
        """``(M,)`` differences of the metrics, and their jackknife standard errors."""
        apart = self.without - other.without
        spread = ((apart - apart.mean(0)) ** 2).sum(0)
        error = np.sqrt(spread * (len(apart) - 1) / len(apart))
        return self.metrics - other.metrics, error

    def is_worse(self, other: 'OutOfFold') -> bool:
        """Whether any metric is nan, or half a standard error above the other's."""
        more, error = self.minus(other)
        return not (more <= 0.5 * error).all()

    @property
    def is_finite(self) -> bool:
        """bool: Whether every metric could be measured, with any group left out."""
        return bool(np.isfinite(self.metrics).all() and np.isfinite(self.without).all())

    def t_value(self, probability: float) -> float:
        """Standard errors that a difference lies below with this probability."""
        return float(special.stdtrit(len(self.without) - 1, probability))


class Candidate(NamedTuple):
    """A method, and whether there is a 'single' curve or one by 'band'."""

    method: str
    by: str


def candidates() -> list[Candidate]:
    """All of them, from the simplest on."""
    numbers: dict[Candidate, int] = {}
    for method, parameters in PARAMETERS.items():
        numbers[Candidate(method.__name__, 'single')] = parameters
        if parameters:
            numbers[Candidate(method.__name__, 'band')] = parameters * NUM_BANDS
    return sorted(numbers, key=numbers.__getitem__)


@dataclass(frozen=True)
class PixelSums:
    """Sums over the pixels of each of G groups, or over those of all.

    Attributes:
        pixels (np.ndarray): ``(G,)`` number of pixels.
        nll (np.ndarray): ``(G,)`` sum of the NLL.
        brier (np.ndarray): ``(G,)`` sum of the squared errors.
        gap_by_band (np.ndarray): ``(G, B)`` confidence less right pixels of each band.
        gap_by_bin (np.ndarray): ``(G, BINS)`` the same of each bin of the confidence.
    """

    pixels: np.ndarray
    nll: np.ndarray
    brier: np.ndarray
    gap_by_band: np.ndarray
    gap_by_bin: np.ndarray

    @classmethod
    def of(cls, counts: np.ndarray, logit: np.ndarray) -> 'PixelSums':
        """Sums of ``(G, B, CELLS, 2)`` pixels, by logits that broadcast with cells."""
        zero = counts[..., 0]
        one = counts[..., 1]
        total = zero + one
        prob = 1 / (1 + np.exp(np.minimum(-logit, 700)))
        nll = zero * np.logaddexp(0, logit) + one * np.logaddexp(0, -logit)
        brier = zero * prob**2 + one * (1 - prob) ** 2

        confidence = np.maximum(prob, 1 - prob)
        gap = confidence * total - np.where(logit > 0, one, zero)
        bin_of_cell = np.clip(np.ceil(confidence * 2 * BINS) - BINS - 1, 0, BINS - 1)
        gap_by_bin = np.zeros((len(counts), BINS))
        for number in range(BINS):
            in_bin = np.where(bin_of_cell == number, gap, 0)
            gap_by_bin[:, number] = in_bin.sum((1, 2))

        return cls(
            pixels=total.sum((1, 2)),
            nll=nll.sum((1, 2)),
            brier=brier.sum((1, 2)),
            gap_by_band=gap.sum(2),
            gap_by_bin=gap_by_bin,
        )

    def combined(self, combine: Callable[[np.ndarray], np.ndarray]) -> 'PixelSums':
        """Make other sums of each of these."""
        return PixelSums(
            pixels=combine(self.pixels),
            nll=combine(self.nll),
            brier=combine(self.brier),
            gap_by_band=combine(self.gap_by_band),
            gap_by_bin=combine(self.gap_by_bin),
        )

    def in_order(self, order: np.ndarray) -> 'PixelSums':
        """The groups in another order."""
        return self.combined(lambda values: values[order])

    def whole(self) -> 'PixelSums':
        """Sums over all groups."""
        return self.combined(add_up_groups)

    def without_each(self) -> 'PixelSums':
        """Sums over all groups but one, for each."""
        return self.combined(lambda values: add_up_groups(values) - values)

    def metrics(self) -> np.ndarray:
        """``(G, 4)`` means, see :data:`METRICS`."""
        ece_band = np.abs(self.gap_by_band).sum(-1)
        ece = np.abs(self.gap_by_bin).sum(-1)
        sums = np.stack([self.nll, self.brier, ece_band, ece], -1)
        return sums / np.expand_dims(self.pixels, -1)


def add_up_groups(values: np.ndarray) -> np.ndarray:
    """Sum over groups, one after another: in the same order on any machine."""
    return np.cumsum(values, 0)[-1]


def measure_groups(counts: np.ndarray, logit: np.ndarray) -> OutOfFold:
    """Measure ``(G, B, CELLS, 2)`` pixels by ``(G, B, CELLS)`` logits."""
    return _measured(PixelSums.of(counts, logit))


def _measured(sums: PixelSums) -> OutOfFold:
    return OutOfFold(sums.whole().metrics(), sums.without_each().metrics())


def out_of_fold(
    counts: np.ndarray,
    images: np.ndarray,
    method: str,
    by: str,
    target: str,
    halfway: float = 0.0,
) -> OutOfFold:
    """Fit to four fifths of ``(G, B, CELLS, 2)``, measure on the rest, five times."""
    fold = np.arange(len(images)) % FOLDS
    sums = []
    for number in np.unique(fold):
        rest = fold != number
        fitted = counts[rest].sum(0)
        curves = fit_curves(fitted, images[rest].sum(), method, by, target, halfway)
        logit = evaluate(curves, CENTRES, target)
        sums.append(PixelSums.of(counts[~rest], logit))

    by_fold = np.argsort(fold, kind='stable')
    return _measured(joined(sums).in_order(np.argsort(by_fold)))


def joined(sums: Sequence[PixelSums]) -> PixelSums:
    """The groups of all sums, one after another."""

    def column(name: str) -> np.ndarray:
        return np.concatenate([getattr(fold, name) for fold in sums])

    return PixelSums(
        pixels=column('pixels'),
        nll=column('nll'),
        brier=column('brier'),
        gap_by_band=column('gap_by_band'),
        gap_by_bin=column('gap_by_bin'),
    )


def simplest(candidates: Mapping[Any, OutOfFold]) -> Any:
    """Pick the first candidate, from the simplest on, that is no worse than the best.

    The best has the lowest first metric. No worse means: no metric is more than half a
    standard error of the paired difference above the best's. On validation images a
    looser tie, or the best by Brier score, was worse on the others. A candidate that
    could not be measured is never picked; ValueError if none could.
    """
    measured = {}
    for name, candidate in candidates.items():
        if candidate.is_finite:
            measured[name] = candidate
    if not measured:
        raise ValueError('no candidate could be measured out of fold')

    best = min(measured.values(), key=lambda candidate: candidate.metrics[0])
    for name, candidate in measured.items():
        if not candidate.is_worse(best):
            return name
    raise AssertionError('the best is no worse than itself')


def least(errors: Mapping[str, float]) -> str:
    """Pick the name of the least error; nan is larger than any."""
    return min(errors, key=lambda name: np.nan_to_num(errors[name], nan=np.inf))


# A normal value lies less than one standard error above its mean with .8413.
SURE = 0.8413


def gains(candidate: OutOfFold, identity: OutOfFold, sure: float = SURE) -> bool:
    """Whether NLL or Brier score falls by over a standard error, and nothing rises.

    The standard error is that of Student's t, which is honest for few groups, at the
    probability ``sure``. Source of the one standard error: Breiman et al.,
    Classification and Regression Trees, 1984, 3.4.3.
    """
    more, error = candidate.minus(identity)
    falls = more < -candidate.t_value(sure) * error
    return bool(falls[:2].any()) and not candidate.is_worse(identity)
