"""The figures that need every score, not only bins."""

import numpy as np

from .bin_table import ratio


def ks_error(levels):
    r"""Kolmogorov-Smirnov calibration error.

    .. math::
        \max_s \Big| \frac1N \sum_{i: c_i \le s} (c_i - r_i) \Big|

    the largest difference between the two cumulative sums; equal scores enter together.

    Source: `Calibration of Neural Networks using Splines
    <https://arxiv.org/abs/2006.12800>`_.

    Args:
        levels (ScoreLevels): The scores.

    Returns:
        float: nan without pixels.
    """
    if not len(levels.count):
        return float('nan')
    running = np.cumsum(levels.conf_sum - levels.unit * levels.right)
    return float(np.abs(running).max() / levels.unit / levels.total)


def brier_score(levels):
    r"""Mean squared difference of confidence and outcome.

    :math:`\frac1N \sum_i (c_i - r_i)^2`. For two classes it is the same for the top
    label and the positive class.

    Args:
        levels (ScoreLevels): The scores.

    Returns:
        float: nan without pixels.
    """
    conf, wrong = levels.conf, levels.count - levels.right
    squares = levels.right * (1 - conf) ** 2 + wrong * conf**2
    return float(ratio(squares.sum(), levels.total))


def average_precision(levels):
    r"""Area under the precision-recall curve as a step function.

    :math:`\sum_n (R_n - R_{n-1}) P_n` over the thresholds from high to low, as
    scikit-learn's ``average_precision_score``. For positive-class levels.

    Args:
        levels (ScoreLevels): Scores for the positive class.

    Returns:
        float: nan without positive pixels.
    """
    hits = np.cumsum(levels.right[::-1])
    named = np.cumsum(levels.count[::-1])
    if not len(hits) or hits[-1] == 0:
        return float('nan')
    return float((levels.right[::-1] * (hits / named)).sum() / hits[-1])


def roc_auc(levels):
    """Area under the ROC curve: P(score of a positive > score of a negative).

    Ties count one half, as in scikit-learn's ``roc_auc_score``. For positive-class
    levels.

    Args:
        levels (ScoreLevels): Scores for the positive class.

    Returns:
        float: nan if one of the classes has no pixel.
    """
    positive = levels.right.astype(np.float64)
    negative = (levels.count - levels.right).astype(np.float64)
    below = np.cumsum(negative) - negative
    pairs = positive.sum() * negative.sum()
    return float(ratio((positive * (below + negative / 2)).sum(), pairs))
