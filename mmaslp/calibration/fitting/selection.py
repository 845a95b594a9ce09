"""Which candidate: metrics out of fold of every one, and the rule that picks one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.special import stdtrit

from ..maps import CENTRES, evaluate
from .methods import MAPS, fit_maps

METRICS = ('nll', 'brier', 'ece_band', 'ece')
FOLDS = 5
BINS = 5  # the upper half of ten equal bins on [0, 1], where confidences lie
# Probability of a normal value to lie less than one standard error above its mean.
ONE_ERROR = 0.8413
# Standard errors within which a candidate is as good as the best.
TIE = 0.5

Name = TypeVar('Name')


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
        """Whether any metric is more than half a standard error above the other's."""
        more, error = self.minus(other)
        return bool((more > TIE * error).any())

    def t_value(self, probability: float) -> float:
        """Standard errors that a difference lies below with this probability."""
        return float(stdtrit(len(self.without) - 1, probability))


def candidates() -> list[tuple[str, str]]:
    """Methods and 'single' or 'band', from the simplest on."""
    bands = dict(single=1, band=5)
    kinds = [('identity', 'single')]
    kinds += [(method, by) for method in MAPS if method != 'identity' for by in bands]
    return sorted(kinds, key=lambda kind: MAPS[kind[0]].parameters * bands[kind[1]])


def measure_groups(counts: np.ndarray, logit: np.ndarray) -> OutOfFold:
    """Measure ``(G, B, CELLS, 2)`` pixels whose logits are ``(G, B, CELLS)``."""
    prob = 1 / (1 + np.exp(-logit))
    zero = counts[..., 0]
    one = counts[..., 1]
    total = zero + one
    brier = zero * prob**2 + one * (1 - prob) ** 2
    nll = zero * np.logaddexp(0, logit) + one * np.logaddexp(0, -logit)

    confidence = np.maximum(prob, 1 - prob)
    gap = confidence * total - np.where(logit > 0, one, zero)
    bin_of_cell = np.clip(np.ceil(confidence * 2 * BINS) - BINS - 1, 0, BINS - 1)
    gap_of_bin = [
        np.where(bin_of_cell == number, gap, 0).sum((1, 2)) for number in range(BINS)
    ]
    pixel_sums = [each.sum((1, 2)) for each in (total, nll, brier)]
    sums = [*pixel_sums, gap.sum(2), np.stack(gap_of_bin, 1)]
    # Group by group, so that every sum is added up in the same order.
    whole = [np.cumsum(each, 0)[-1] for each in sums]
    without = [all_groups - each for all_groups, each in zip(whole, sums)]
    return OutOfFold(_means(*whole), _means(*without))


def _means(
    pixels: np.ndarray,
    nll: np.ndarray,
    brier: np.ndarray,
    gap_of_band: np.ndarray,
    gap_of_bin: np.ndarray,
) -> np.ndarray:
    """``(..., 4)`` metrics of sums, see :data:`METRICS`."""
    by_band = np.abs(gap_of_band).sum(-1)
    by_bin = np.abs(gap_of_bin).sum(-1)
    sums = np.stack([nll, brier, by_band, by_bin], -1)
    return sums / np.expand_dims(pixels, -1)


def out_of_fold(
    counts: np.ndarray, images: np.ndarray, method: str, by: str, target: str
) -> OutOfFold:
    """Fit to four fifths of ``(G, B, CELLS, 2)``, measure on the rest, five times."""
    fold = np.arange(len(images)) % FOLDS
    logit = np.zeros(counts.shape[:-1])
    for number in np.unique(fold):
        rest = fold != number
        maps = fit_maps(counts[rest].sum(0), images[rest].sum(), method, by, target)
        logit[~rest] = evaluate(maps, CENTRES, target)
    return measure_groups(counts, logit)


def simplest(candidates: Mapping[Name, OutOfFold]) -> Name:
    """Pick the first candidate, from the simplest on, that is no worse than the best.

    The best has the lowest first metric. No worse means: no metric is more than half a
    standard error of the paired difference above the best's. On validation images a
    looser tie, or the best by Brier score, was worse on the others.
    """
    best = min(candidates, key=lambda name: candidates[name].metrics[0])
    for name, candidate in candidates.items():
        if not candidate.is_worse(candidates[best]):
            return name
    return best


def gains(candidate: OutOfFold, identity: OutOfFold) -> bool:
    """Whether NLL or Brier score falls by over a standard error, and nothing rises.

    The standard error is that of Student's t, which is honest for few groups. Source of
    the one standard error: Breiman et al., Classification and Regression Trees, 1984,
    3.4.3.
    """
    more, error = candidate.minus(identity)
    falls = more < -candidate.t_value(ONE_ERROR) * error
    return bool(falls[:2].any()) and not candidate.is_worse(identity)
