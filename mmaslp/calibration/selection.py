"""Which map: out-of-fold figures of every candidate, and the rule that picks one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..common.bands import NUM_BANDS
from .maps import CENTRES, MAPS, Knots, evaluate, fit_maps


def _candidates() -> tuple[tuple[str, str], ...]:
    """Methods and 'single' or 'band', from the simplest on."""
    numbers = {}
    for name, method in MAPS.items():
        numbers[name, 'single'] = method.parameters
        if method.parameters:
            numbers[name, 'band'] = method.parameters * NUM_BANDS
    return tuple(sorted(numbers, key=lambda candidate: numbers[candidate]))


CANDIDATES = _candidates()
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
        error = jackknife_error(self.without - other.without)
        return self.figures - other.figures, error


def jackknife_error(without: np.ndarray) -> np.ndarray:
    """``(F,)`` standard errors of figures by ``(G, F)``, those without each group."""
    spread = ((without - without.mean(0)) ** 2).sum(0)
    return np.sqrt(spread * (len(without) - 1) / len(without))


@dataclass(frozen=True)
class GroupSums:
    """Sums over the pixels of each of G groups, or of all of them together."""

    pixels: np.ndarray  # (G,)
    brier: np.ndarray  # (G,)
    nll: np.ndarray  # (G,)
    band_gaps: np.ndarray  # (G, B) confidence less correct pixels of each band
    bin_gaps: np.ndarray  # (G, BINS) and of each bin of the confidence

    @property
    def total(self) -> GroupSums:
        """Of all groups together."""
        # Group by group, so that every field is added up in the same order.
        return GroupSums(*(np.cumsum(sums, 0)[-1] for sums in vars(self).values()))

    @property
    def without_each(self) -> GroupSums:
        """Of all groups but one, for each."""
        whole = vars(self.total).values()
        return GroupSums(*(a - b for a, b in zip(whole, vars(self).values())))

    @property
    def figures(self) -> np.ndarray:
        """``(..., 4)`` figures, see :data:`FIGURES`."""
        by_band = np.abs(self.band_gaps).sum(-1)
        by_bin = np.abs(self.bin_gaps).sum(-1)
        sums = np.stack([self.brier, self.nll, by_band, by_bin], -1)
        return sums / np.expand_dims(self.pixels, -1)

    @classmethod
    def joined(cls, parts: Sequence[GroupSums], order: np.ndarray) -> GroupSums:
        """Groups of several parts, in an order."""
        columns = zip(*(vars(part).values() for part in parts))
        return cls(*(np.concatenate(column)[order] for column in columns))


def out_of_fold(
    counts: np.ndarray, images: np.ndarray, method: str, by: str, target: str
) -> Candidate:
    """Fit to four fifths of ``(G, B, CELLS, 2)``, measure on the rest, five times."""
    fold = np.arange(len(images)) % FOLDS
    parts = []
    for number in np.unique(fold):
        own = fold == number
        maps = fit_maps(counts[~own].sum(0), images[~own].sum(), method, by, target)
        parts.append(sums_of(counts[own], maps, target))

    place = np.argsort(np.argsort(fold, kind='stable'), kind='stable')
    sums = GroupSums.joined(parts, place)
    return Candidate(method, by, target, sums.total.figures, sums.without_each.figures)


def sums_of(counts: np.ndarray, maps: Sequence[Knots], target: str) -> GroupSums:
    """Sums over the pixels of calibrated ``(G, B, CELLS, 2)``."""
    logit = evaluate(maps, CENTRES, target)
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
    return GroupSums(
        pixels=total.sum((1, 2)),
        brier=brier.sum((1, 2)),
        nll=nll.sum((1, 2)),
        band_gaps=gap.sum(2),
        bin_gaps=np.stack(gap_of_bin, 1),
    )


def simplest(candidates: Sequence[Candidate]) -> Candidate:
    """Pick the first candidate, from the simplest on, that is no worse than the best.

    The best has the lowest NLL. No worse means: Brier score, NLL and ECE by band are
    at most half a standard error of their paired difference above the best's. On
    validation images a looser tie, or the best by Brier score, was worse on the others.
    """
    best = min(
        candidates, key=lambda candidate: candidate.figures[FIGURES.index('nll')]
    )
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
    more, error = (values[:2] for values in candidate.minus(identity))
    return bool((more < -error).any() and not (more > WIDE * error).any())
