"""The metrics of a binned table; each is defined only here."""

import numpy as np

from .bin_table import BinTable, ratio


def binned_metrics(table: BinTable) -> dict[str, np.ndarray]:
    r"""Compute the metrics that need only the sums per bin.

    With n_b pixels, confidence c_b and accuracy a_b in bin b of N pixels:

    .. math::
        ece = \sum_b \frac{n_b}{N} |c_b - a_b| \qquad
        oe = \sum_{b: c_b > a_b} \frac{n_b}{N} c_b |c_b - a_b| \qquad
        ue = \sum_{b: c_b < a_b} \frac{n_b}{N} c_b |c_b - a_b|

    ``mce`` is the maximum of the gaps :math:`|c_b - a_b|` of the bins that are not
    empty. ``ace`` is their unweighted mean, the *average* calibration error: a bin of
    few pixels counts as much as any other. It is not the *adaptive* calibration error
    of Nixon et al., which has bins of equal mass and is ``ece_em``. ``acc`` and
    ``conf`` are the means over all pixels.

    Sources: `ECE, MCE <https://arxiv.org/abs/1706.04599>`_,
    `OE <https://arxiv.org/abs/1905.11001>`_; average calibration error: Neumann,
    Zisserman and Vedaldi, Relaxed Softmax, 2018, and for segmentation
    `Barfoot et al. <https://arxiv.org/abs/2403.06759>`_, MONAI's ``AVERAGE``.
    """
    conf, gap, weight = table.mean_conf, signed_gap(table), table.weight
    size = np.abs(gap)
    weighted = weight * size
    filled = np.asarray(table.count) > 0
    metrics = {
        'ece': _sum(weighted, filled),
        'oe': _sum(weighted * conf, filled & (gap > 0)),
        'ue': _sum(weighted * conf, filled & (gap < 0)),
        'mce': np.where(filled, size, 0).max(-1, initial=0),
        'ace': ratio(_sum(size, filled), filled.sum(-1)),
        'acc': ratio(table.correct.sum(-1), table.total),
        'conf': ratio(table.conf.sum(-1), table.total),
    }
    return {
        key: np.where(table.total > 0, value, np.nan) for key, value in metrics.items()
    }


def signed_gap(table: BinTable) -> np.ndarray:
    """``(..., B)`` mean confidence minus accuracy: above 0 where over-confident."""
    return ratio(table.conf - table.correct, table.count)


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
    noise = ratio(accuracy * (1 - accuracy), np.asarray(table.count) - 1)
    squared = table.weight * (signed_gap(table) ** 2 - noise)
    square = _sum(squared, np.asarray(table.count) > 1)
    return np.where(table.total > 0, np.sqrt(np.maximum(square, 0)), np.nan)


def brier_decomposition(
    table: BinTable, brier: float | np.ndarray
) -> dict[str, np.ndarray]:
    r"""Split the Brier score into reliability, resolution and uncertainty.

    .. math::
        reliability = \sum_b \frac{n_b}{N} (c_b - a_b)^2 \qquad
        uncertainty = \bar a (1 - \bar a) \qquad
        brier = reliability - resolution + uncertainty

    The three add up exactly. So this is the generalised resolution: Murphy's
    :math:`\sum_b n_b (a_b - \bar a)^2 / N` plus what the spread of the scores inside
    the bins explains; both agree when every bin holds one score.
    """
    filled = np.asarray(table.count) > 0
    reliability = _sum(table.weight * signed_gap(table) ** 2, filled)
    accuracy = ratio(table.correct.sum(-1), table.total)
    uncertainty = accuracy * (1 - accuracy)
    return {
        'brier_reliability': np.where(table.total > 0, reliability, np.nan),
        'brier_resolution': reliability + uncertainty - brier,
        'brier_uncertainty': uncertainty,
    }


def _sum(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Sum over the bins that are named; others may be nan."""
    return np.where(where, values, 0).sum(-1)
