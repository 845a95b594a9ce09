"""Which map: out-of-fold figures of every candidate, and the rule that picks one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .maps import CENTRES, Knots, evaluate, fit_maps

# From the simplest on.
CANDIDATES = (
    ('identity', 'single'),
    ('temperature', 'single'),
    ('affine', 'single'),
    ('temperature', 'band'),
    ('isotonic', 'single'),
    ('affine', 'band'),
    ('isotonic', 'band'),
)
FIGURES = ('brier', 'nll', 'ece_band', 'ece')
FOLDS = 5
BINS = 5  # the upper half of ten equal bins on [0, 1], where confidences lie
# Standard errors of half an interval of 95 %.
WIDE = 1.96
# Standard errors within which a candidate is as good as the best.
TIE = 0.5


@dataclass(frozen=True)
class Candidate:
    """A map, its ``(4,)`` out-of-fold figures, and ``(G, 4)`` without each group."""

    method: str
    by: str
    target: str
    figures: np.ndarray
    without: np.ndarray

    def minus(self, other: Candidate) -> tuple[np.ndarray, np.ndarray]:
        """``(4,)`` differences of the figures, and their jackknife standard errors."""
        rest = self.without - other.without
        spread = ((rest - rest.mean(0)) ** 2).sum(0)
        error = np.sqrt(spread * (len(rest) - 1) / len(rest))
        return self.figures - other.figures, error


def out_of_fold(
    counts: np.ndarray, images: np.ndarray, method: str, by: str, target: str
) -> Candidate:
    """Fit to four fifths of ``(G, B, CELLS, 2)``, measure on the rest, five times."""
    fold = np.arange(len(images)) % FOLDS
    sums = np.empty((len(images), 3 + counts.shape[1] + BINS))
    for number in np.unique(fold):
        own = fold == number
        maps = fit_maps(counts[~own].sum(0), images[~own].sum(), method, by, target)
        sums[own] = sums_of(counts[own], maps, target)
    whole = sums.sum(0)
    return Candidate(method, by, target, figures_of(whole), figures_of(whole - sums))


def sums_of(counts: np.ndarray, maps: Sequence[Knots], target: str) -> np.ndarray:
    """``(G, 3 + B + BINS)`` sums over the pixels of calibrated ``(G, B, CELLS, 2)``.

    They are the pixels, Brier score, NLL, and the confidence less the correct pixels of
    each band and of each bin of the confidence.
    """
    logit = evaluate(maps, CENTRES, target)
    prob = 1 / (1 + np.exp(-logit))
    zero = counts[..., 0]
    one = counts[..., 1]
    total = zero + one
    brier = zero * prob**2 + one * (1 - prob) ** 2
    nll = zero * np.logaddexp(0, logit) + one * np.logaddexp(0, -logit)
    conf = np.maximum(prob, 1 - prob)
    gap = conf * total - np.where(logit > 0, one, zero)
    bins = np.clip(np.ceil(conf * 2 * BINS) - BINS - 1, 0, BINS - 1)
    by_bin = (np.where(bins == each, gap, 0) for each in range(BINS))
    scores = [each.sum((1, 2)) for each in (total, brier, nll, *by_bin)]

    return np.concatenate(
        [np.stack(scores[:3], 1), gap.sum(2), np.stack(scores[3:], 1)], 1
    )


def figures_of(sums: np.ndarray) -> np.ndarray:
    """``(..., 4)`` figures of ``(..., 3 + B + BINS)`` sums."""
    bands = sums[..., 3:-BINS]
    bins = sums[..., -BINS:]
    errors = (np.abs(each).sum(-1) for each in (bands, bins))
    return np.stack([sums[..., 1], sums[..., 2], *errors], -1) / sums[..., :1]


def simplest(candidates: Sequence[Candidate]) -> Candidate:
    """Pick the first candidate, from the simplest on, that is no worse than the best.

    The best has the lowest NLL. No worse means: Brier score, NLL and ECE by band are
    at most half a standard error of their paired difference above the best's. On
    validation images a looser tie, or the best by Brier score, was worse on the others.
    """
    best = min(candidates, key=lambda each: each.figures[FIGURES.index('nll')])
    for candidate in candidates:
        more, error = candidate.minus(best)
        if (more <= TIE * error)[:3].all():
            return candidate
    return best


def gains(candidate: Candidate, identity: Candidate) -> bool:
    """Whether Brier score or NLL falls by over a standard error, and neither rises.

    A rise counts if its interval of 95 % excludes 0. Tests of the gain at 95 % kept
    worse probabilities (``benchmarks/few_images.py``). Source of the one standard
    error: Breiman et al., Classification and Regression Trees, 1984, 3.4.3.
    """
    more, error = (each[:2] for each in candidate.minus(identity))
    return bool((more < -error).any() and not (more > WIDE * error).any())
