"""Calibration metrics of probabilities and labels, as functions.

All take arrays or tensors of any shape: ``prob``, the probability of the foreground,
and ``label`` of 0 and 1, of the same shape or without the channel of ``(N, 1, ...)``.
They return Python floats. For data that arrives in batches use
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

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from torch import Tensor

from .calibration.uncalibrated import mask_estimates
from .common.arguments import check_choice
from .common.arrays import as_floats, as_tensor, matched, split_labels
from .metrics import errors, image_metrics
from .metrics.band_table import BORDERS, BandTable
from .metrics.bins import (
    BinTable,
    ScoreTable,
    check_bins,
    equal_mass,
    equal_width,
    signed_gap,
)
from .metrics.histogram import PixelCounts
from .metrics.objects import MaskTable

__all__ = [
    'aurc',
    'band_calibration_error',
    'brier_score',
    'calibration_error',
    'dice_error',
    'empty_area',
    'empty_found',
    'equal_mass_calibration_error',
    'object_auroc',
    'object_calibration_error',
]

NORMS = ('l1', 'l2', 'max')


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
    pixels = PixelCounts.of(prob, label, ignore_index)
    return _error(equal_width, pixels, n_bins, norm, mode)


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
    pixels = PixelCounts.of(prob, label, ignore_index)
    return _error(equal_mass, pixels, n_bins, norm, mode)


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


def object_calibration_error(
    prob: Tensor | np.ndarray,
    label: Tensor | np.ndarray,
    ignore_index: int | None = None,
) -> float:
    """Calibration error of objects, in ten bins of equal width.

    An object is a connected component of the mask p > 0.5 of 0.1 % of the image or more
    (of a volume, a millionth). The mean p of its pixels is taken for the probability
    that more than half of them are foreground.

    Args:
        prob (Tensor | np.ndarray): Maps, ``(H, W)``, ``(N, H, W)``, ``(N, 1, H, W)`` or
            of volumes ``(N, 1, D, H, W)``, floating point in [0, 1].
        label (Tensor | np.ndarray): Of {0, 1, ignore_index}, of the same shape or
            without the channel.
        ignore_index (int, optional): Label of pixels to leave out. Defaults to None.

    Returns:
        float: In [0, 1]; nan without objects.

    Raises:
        ValueError: See :func:`band_calibration_error`; or there are several channels.

    Example:
        >>> import numpy as np
        >>> label = np.zeros((1, 32, 32))
        >>> label[:, :8, :8] = 1
        >>> prob = 0.1 + 0.8 * np.maximum(label, label[:, ::-1])  # a second object
        >>> round(object_calibration_error(prob, label), 4)
        0.4
    """
    return _of_masks(image_metrics.object_ece, prob, label, ignore_index)


def object_auroc(
    prob: Tensor | np.ndarray,
    label: Tensor | np.ndarray,
    ignore_index: int | None = None,
) -> float:
    """How often a real object has a larger mean p than another one; a tie is half.

    It takes what :func:`object_calibration_error` does; nan without objects of either
    kind.
    """
    return _of_masks(image_metrics.object_auroc, prob, label, ignore_index)


def dice_error(
    prob: Tensor | np.ndarray,
    label: Tensor | np.ndarray,
    ignore_index: int | None = None,
) -> float:
    r"""Mean over images of the distance between the expected and the true Dice.

    What is expected is the Soft Dice Confidence, :math:`2 \sum_{mask} p / (|mask| +
    \sum p)`; images with an empty mask are left out. Source: `Borges et al.
    <https://arxiv.org/abs/2402.10665>`_.

    It takes what :func:`object_calibration_error` does; nan without an image.
    """
    return _of_masks(image_metrics.dice_error, prob, label, ignore_index)


def aurc(
    prob: Tensor | np.ndarray,
    label: Tensor | np.ndarray,
    ignore_index: int | None = None,
) -> float:
    """Area under the risk-coverage curve of images: their risk is 1 - Dice.

    Images are kept in the order of the Soft Dice Confidence, see :func:`dice_error`.
    Source: `Geifman et al. <https://arxiv.org/abs/1805.08206>`_.

    It takes what :func:`object_calibration_error` does; nan without an image.
    """
    return _of_masks(image_metrics.aurc_of, prob, label, ignore_index)


def empty_found(
    prob: Tensor | np.ndarray,
    label: Tensor | np.ndarray,
    ignore_index: int | None = None,
) -> float:
    """Share of the images without foreground in which some is found.

    It takes what :func:`object_calibration_error` does; nan without such an image.
    """
    return _of_masks(image_metrics.found_in_empty, prob, label, ignore_index)


def empty_area(
    prob: Tensor | np.ndarray,
    label: Tensor | np.ndarray,
    ignore_index: int | None = None,
) -> float:
    """Mean share of the pixels that are found in images without foreground.

    It takes what :func:`object_calibration_error` does; nan without such an image.
    """
    return _of_masks(image_metrics.area_in_empty, prob, label, ignore_index)


def images_of(
    prob: Tensor | np.ndarray, label: Tensor | np.ndarray, ignore_index: int | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Maps and labels, image by image; ValueError if they are none of one channel."""
    maps = as_floats(prob)
    labels = as_tensor(label, 'label')
    maps = matched(maps, labels)
    split_labels(labels, -1 if ignore_index is None else ignore_index)
    has_channel = maps.dim() > 3 and maps.shape == prob.shape
    if maps.dim() not in (2, 3, 4, 5) or (has_channel and maps.shape[1] != 1):
        raise ValueError(
            'give maps of one channel, (N, H, W), (N, 1, H, W) or (N, 1, D, H, W), not '
            f'{tuple(prob.shape)}'
        )
    if has_channel:
        return zip(maps[:, 0], labels[:, 0])
    return zip(maps[None], labels[None]) if maps.dim() == 2 else zip(maps, labels)


def _of_masks(
    metric: Callable[[MaskTable], Any],
    prob: Tensor | np.ndarray,
    label: Tensor | np.ndarray,
    ignore_index: int | None,
) -> float:
    """Compute a metric of masks and objects of a batch."""
    images = images_of(prob, label, ignore_index)
    rows = [mask_estimates(*image, ignore_index) for image in images]
    return float(metric(MaskTable.join(rows))) if rows else float('nan')


def _error(
    binning: Callable[[ScoreTable, int], BinTable],
    pixels: PixelCounts,
    n_bins: int,
    norm: str,
    mode: str,
) -> float:
    """Compute a norm of the gaps of bins."""
    check_choice('norm', norm, NORMS)
    check_bins(n_bins)
    table = binning(pixels.score_table(mode), n_bins)
    if norm == 'l2':
        square = np.nansum(table.weight * signed_gap(table) ** 2)
        return float(np.sqrt(square)) if table.total else float('nan')
    return float(
        errors.binned_error(table) if norm == 'l1' else errors.largest_gap(table)
    )
