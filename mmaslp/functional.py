"""Calibration metrics of probabilities and labels, as functions.

All take arrays or tensors of any shape, by band only maps: ``prob``, the probability of
the foreground, and ``label`` of 0 and 1, of the same shape or without the channel of
``(N, 1, ...)``. They return Python floats. For data that arrives in batches use
:class:`~mmaslp.metrics.CalibrationHistogram` and :class:`~mmaslp.metrics.BandTable`,
which these functions fill once and which state the error of float probabilities.

Like ``torchmetrics.functional.classification.binary_calibration_error``:
``ignore_index=None`` by default, ``norm`` and ``n_bins`` by these names, bins of equal
width, the same values for probabilities that lie on no edge of a bin. Unlike it:

- ``mode='top_label'`` by default: the confidence is max(p, 1 - p), the outcome whether
  the prediction p > 0.5 is right. ``mode='positive'`` is TorchMetrics' choice, the
  confidence p and the outcome label 1.
- 10 bins by default, not 15; intervals (lo, hi], not [lo, hi); 1.0 lies in the last
  bin, where TorchMetrics gives it a bin of its own.
- logits are refused, not guessed from values outside of [0, 1].

Example:
    >>> import numpy as np
    >>> from mmaslp.functional import brier_score, calibration_error
    >>> prob, label = np.array([0.9, 0.8, 0.3]), np.array([1, 0, 0])
    >>> round(calibration_error(prob, label), 4)
    0.4
    >>> round(brier_score(prob, label), 4)
    0.2467
"""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from .common.arguments import check_choice
from .metrics import errors
from .metrics.band_table import BORDERS, BandTable
from .metrics.bins import (
    BinTable,
    ScoreTable,
    check_bins,
    equal_mass,
    equal_width,
)
from .metrics.histogram import PixelCounts

__all__ = [
    'band_calibration_error',
    'brier_score',
    'calibration_error',
    'equal_mass_calibration_error',
]


def _root_squared_error(table: BinTable) -> np.ndarray:
    return np.sqrt(errors.squared_error(table))


NORMS = {
    'l1': errors.binned_error,
    'l2': _root_squared_error,
    'max': errors.largest_gap,
}


def calibration_error(
    prob: Tensor | np.ndarray,
    label: Tensor | np.ndarray,
    n_bins: int = 10,
    norm: str = 'l1',
    mode: str = 'top_label',
    ignore_index: int | None = None,
) -> float:
    r"""Calibration error in bins of equal width.

    With :math:`w_b` the share of the pixels in bin b, :math:`c_b` their confidence and
    :math:`a_b` their accuracy: ``'l1'`` :math:`\sum_b w_b |c_b - a_b|` (ECE), ``'l2'``
    :math:`(\sum_b w_b (c_b - a_b)^2)^{1/2}`, ``'max'`` the largest gap (MCE).

    Source: Guo et al., `On Calibration of Modern Neural Networks
    <https://arxiv.org/abs/1706.04599>`_, ICML 2017.

    Args:
        prob (Tensor | np.ndarray): Floating point in [0, 1].
        label (Tensor | np.ndarray): Of {0, 1, ignore_index}.
        n_bins (int): In [1, 4096]. Defaults to 10.
        norm (str): 'l1', 'l2' or 'max'. Defaults to 'l1'.
        mode (str): 'top_label' or 'positive'. Defaults to 'top_label'.
        ignore_index (int, optional): Label of pixels to leave out. Defaults to None.

    Returns:
        float: In [0, 1]; nan if there is no pixel.

    Raises:
        ValueError: An argument is out of range, or the shapes differ.
    """
    return _error(
        equal_width, PixelCounts.of(prob, label, ignore_index), n_bins, norm, mode
    )


def equal_mass_calibration_error(
    prob: Tensor | np.ndarray,
    label: Tensor | np.ndarray,
    n_bins: int = 10,
    norm: str = 'l1',
    mode: str = 'top_label',
    ignore_index: int | None = None,
) -> float:
    """Calibration error in bins of equally many pixels; ties stay together.

    Source: Nixon et al., `Measuring Calibration in Deep Learning
    <https://arxiv.org/abs/1904.01685>`_, 2019 (adaptive calibration error).

    It takes and returns what :func:`calibration_error` does; there are at most
    ``n_bins`` bins.

    Example:
        >>> import numpy as np
        >>> prob, label = np.array([0.9, 0.8, 0.3, 0.4]), np.array([1, 0, 0, 1])
        >>> round(equal_mass_calibration_error(prob, label, n_bins=2), 4)
        0.25
    """
    return _error(
        equal_mass, PixelCounts.of(prob, label, ignore_index), n_bins, norm, mode
    )


def band_calibration_error(
    prob: Tensor | np.ndarray,
    label: Tensor | np.ndarray,
    border: str = 'predicted',
    ignore_index: int | None = None,
) -> float:
    """Calibration error by band of distance from a border.

    The mean over pixels of the absolute gap between top-label confidence and accuracy
    of their band, see :class:`~mmaslp.metrics.BandTable`. All images of a call count as
    one set: their bands are pooled.

    Args:
        prob (Tensor | np.ndarray): Maps, ``(H, W)``, ``(N, H, W)``, ``(N, C, H, W)`` or
            ``(N, C, D, H, W)``; bands lie in the plane of the last two axes.
        label (Tensor | np.ndarray): See :func:`calibration_error`.
        border (str): 'predicted', that of the mask p > 0.5, or 'true', that of the
            labels. Defaults to 'predicted'.
        ignore_index (int, optional): Defaults to None.

    Returns:
        float: In [0, 1]; nan if there is no pixel.

    Raises:
        ValueError: See :func:`calibration_error`; or the arrays are not maps.

    Example:
        >>> import numpy as np
        >>> label = np.zeros((64, 64))
        >>> label[:, 32:] = 1
        >>> round(band_calibration_error(0.1 + 0.8 * label, label), 4)
        0.1
    """
    check_choice('border', border, BORDERS)
    table = BandTable()
    table.update(prob, label, ignore_index)
    return float(errors.binned_error(table.table(border)))


def brier_score(
    prob: Tensor | np.ndarray,
    label: Tensor | np.ndarray,
    ignore_index: int | None = None,
) -> float:
    """Mean of (p - y) squared over pixels: for two classes half of Brier's sum.

    It takes and returns what :func:`calibration_error` does.
    """
    return errors.brier_score(PixelCounts.of(prob, label, ignore_index).scores)


def _error(
    binning: Callable[[ScoreTable, int], BinTable],
    pixels: PixelCounts,
    n_bins: int,
    norm: str,
    mode: str,
) -> float:
    """Compute a norm of the gaps of bins."""
    table = binning(pixels.score_table(mode), check_bins(n_bins, 'n_bins'))
    return float(NORMS[check_choice('norm', norm, NORMS)](table))
