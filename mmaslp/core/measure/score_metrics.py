"""The metrics that need every score, not only bins."""

import numpy as np

from .bin_table import ratio
from .score_table import ScoreTable


def ks_error(table: ScoreTable) -> float:
    r"""Kolmogorov-Smirnov calibration error.

    .. math::
        \max_s \Big| \frac1N \sum_{i: c_i \le s} (c_i - r_i) \Big|

    This is the largest difference between the two cumulative sums. Equal scores enter
    together.
    """
    if not len(table.count):
        return float('nan')
    running = np.cumsum(table.conf_sum - table.unit * table.correct)
    return float(np.abs(running).max() / table.unit / table.total)


def brier_score(table: ScoreTable) -> float:
    r"""Mean squared difference :math:`\frac1N \sum_i (c_i - r_i)^2`, nan for none.

    For two classes it is the same for the top label and the positive class.
    """
    conf, wrong = table.conf, table.count - table.correct
    squares = table.correct * (1 - conf) ** 2 + wrong * conf**2
    return float(ratio(squares.sum(), table.total))


def average_precision(table: ScoreTable) -> float:
    r"""Area under the precision-recall curve as a step function.

    :math:`\sum_n (R_n - R_{n-1}) P_n` over the thresholds from high to low, as
    scikit-learn's ``average_precision_score``. For scores of the positive class.
    """
    hits = np.cumsum(table.correct[::-1])
    named = np.cumsum(table.count[::-1])
    if not len(hits) or hits[-1] == 0:
        return float('nan')
    return float((table.correct[::-1] * (hits / named)).sum() / hits[-1])


def roc_auc(table: ScoreTable) -> float:
    """Area under the ROC curve: P(score of a positive > score of a negative).

    Ties count one half, as in scikit-learn's ``roc_auc_score``. For scores of the
    positive class.
    """
    positive = table.correct.astype(np.float64)
    negative = (table.count - table.correct).astype(np.float64)
    below = np.cumsum(negative) - negative
    pairs = positive.sum() * negative.sum()
    return float(ratio((positive * (below + negative / 2)).sum(), pairs))
