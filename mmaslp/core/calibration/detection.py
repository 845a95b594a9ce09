"""How well a score per image finds images of a given kind."""

import numpy as np

from .bootstrap import check_resampling, percentiles
from .score_metrics import roc_auc
from .score_table import ScoreTable

__all__ = ['detection_auroc', 'detection_interval']


def detection_auroc(score: np.ndarray, positive: np.ndarray) -> float:
    """P(score of a positive > score of a negative), ties counting one half.

    The rank formula with mid-ranks, Hanley and McNeil, Radiology 143 (1982).

    Args:
        score (np.ndarray): ``(N,)``, any finite numbers.
        positive (np.ndarray): ``(N,)``, bool.

    Returns:
        float: In [0, 1]; 0.5 is chance, nan if all or none are positive.

    Raises:
        ValueError: Shapes that differ, or a score that is not finite.
    """
    return roc_auc(_table(*_ranks(score, positive)))


def detection_interval(
    score: np.ndarray,
    positive: np.ndarray,
    resamples: int = 2000,
    seed: int = 0,
    confidence_level: float = 0.95,
) -> tuple[float, float]:
    """Percentile interval of :func:`detection_auroc` over images.

    Positives and negatives are drawn separately, with replacement. So every resample
    has as many of both as the data. With only a few positives the interval tends to be
    too narrow.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8
    and 13.

    Args:
        score (np.ndarray): ``(N,)``, any finite numbers.
        positive (np.ndarray): ``(N,)``, bool.
        resamples (int): Defaults to 2000.
        seed (int): The same seed gives the same interval. Defaults to 0.
        confidence_level (float): In (0, 1). Defaults to 0.95.

    Returns:
        tuple[float, float]: Low and high; nan with fewer than two of either kind.

    Raises:
        ValueError: See :func:`detection_auroc`, or an argument out of range.
    """
    check_resampling(resamples, confidence_level)
    rank, positive = _ranks(score, positive)
    kinds = [np.flatnonzero(positive == kind) for kind in (True, False)]
    if min(map(len, kinds)) < 2:
        return float('nan'), float('nan')
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(resamples):
        rows = np.concatenate([rng.choice(kind, len(kind)) for kind in kinds])
        values.append(roc_auc(_table(rank[rows], positive[rows])))
    low, high = percentiles(np.array(values), confidence_level)
    return float(low), float(high)


def _ranks(score: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Check both and replace scores by the number of smaller distinct ones."""
    score, positive = np.asarray(score, float), np.asarray(positive, bool)
    if score.shape != positive.shape or score.ndim != 1:
        raise ValueError(
            f'score and positive must be of one shape (N,), got {score.shape} and '
            f'{positive.shape}'
        )
    if not np.isfinite(score).all():
        raise ValueError('score holds values that are not finite')
    return np.unique(score, return_inverse=True)[1], positive


def _table(rank: np.ndarray, positive: np.ndarray) -> ScoreTable:
    count = np.bincount(rank)
    correct = np.bincount(rank[positive], minlength=len(count))
    seen = np.flatnonzero(count)
    return ScoreTable(seen, count[seen], correct[seen], unit=1)
