"""Masks from probabilities: the one with the highest expected Dice."""

import math

import numpy as np
import torch
from torch import Tensor

from ..common.arrays import as_floats, check_places, checked
from ..common.maps import IMAGES, VOLUMES

PIECE = 2**20  # pixels that are summed up at a time


def dice_optimal_mask(prob: Tensor | np.ndarray) -> Tensor | np.ndarray:
    r"""Cut each image at the threshold that maximises its expected Dice.

    A threshold of 1/2 maximises accuracy. For Dice the best k pixels are those with
    the largest probabilities, and with :math:`S = \sum_j p_j` the best k maximises

    .. math::
        F(k) = \frac{2 \sum_{j \le k} p_{(j)}}{k + S},

    the expected Dice with its denominator at its mean, exact but for terms of order
    1 / S. A pixel is in the best mask if its probability is above max F / 2, so the
    threshold lies between 0 and 1/2. The search starts at 0, sets the threshold to F /
    2 of the mask it has, and ends when nothing changes (Dinkelbach).

    The mask is empty if P(no foreground at all) is above max F, since the Dice of two
    empty masks is 1. The rule takes the middle of :math:`\prod_j (1 - p_j)`, which
    holds for independent pixels, and :math:`1 - \max_j p_j`, for fully dependent ones.

    The probabilities must be calibrated: from those of an over-confident network the
    mask can be worse than p > 0.5.

    Sources: Dai and Li, `RankSEG <https://jmlr.org/papers/v24/22-0712.html>`_, JMLR
    2023; Wang and Dai, `RankSEG-RMA <https://arxiv.org/abs/2510.15362>`_, 2025, for the
    mean of the denominator; Dinkelbach, On Nonlinear Fractional Programming, 1967.

    Args:
        prob (Tensor | np.ndarray): One image ``(H, W)``, or a batch of images
            ``(N, C, H, W)`` or of volumes ``(N, C, D, H, W)``; floating point in
            [0, 1], calibrated probability of the foreground. Every channel of every
            image has its own threshold; a volume has one for all slices.

    Returns:
        Tensor | np.ndarray: Bool, same kind and shape, True for foreground.

    Raises:
        ValueError: There is another number of axes, ``prob`` is no floating point
            type, has NaN or values outside [0, 1].

    Example:
        >>> prob = np.array([[0.9, 0.45], [0.42, 0.0]])
        >>> dice_optimal_mask(prob).tolist()
        [[True, True], [True, False]]
        >>> dice_optimal_mask(np.full((2, 2), 0.1)).tolist()
        [[False, False], [False, False]]
    """
    values = checked(as_floats(prob))
    check_places(values)
    if values.dim() not in (2, 4, 5):
        raise ValueError(
            'prob must be (H, W), images (N, C, H, W) or volumes (N, C, D, H, W), got '
            f'{tuple(values.shape)}: give images as prob[:, None], one volume as '
            'prob[None, None]'
        )

    kind = IMAGES
    if values.dim() == 5:
        kind = VOLUMES
    masks = cut_for_dice(values, kind)
    if isinstance(prob, np.ndarray):
        return masks.numpy()
    return masks


# Axes of the pixels that share a threshold.
_AXES = {IMAGES: 2, VOLUMES: 3}


def cut_for_dice(prob: Tensor, kind: str) -> Tensor:
    """Cut images ``(..., H, W)`` or volumes ``(..., D, H, W)``, which are checked."""
    flat = prob.flatten(1)
    if prob.numel():
        pixels = math.prod(prob.shape[-_AXES[kind] :])
        flat = prob.reshape(-1, pixels)
    masks = torch.empty_like(flat, dtype=torch.bool)
    for image, mask in zip(flat, masks):
        torch.gt(image, dice_threshold(image), out=mask)
    return masks.view(prob.shape)


def dice_threshold(prob: Tensor, pixels: Tensor | None = None) -> float:
    """Threshold of one image of ``(P,)`` probabilities; 1 for an empty mask.

    ``pixels`` are how many pixels have each probability, by default one.
    """
    total = _total(prob, pixels)
    if not total:
        return 1.0

    best = 0.0
    inside = prob
    weight = pixels
    value = _soft_dice(inside, weight, total)
    while value > best:
        best = value
        keep = inside > best / 2
        inside = inside[keep]
        if weight is not None:
            weight = weight[keep]
        value = _soft_dice(inside, weight, total)

    full = 1 - prob.max().item()
    none = math.exp(-total)
    if (full + none) / 2 > best:  # as the product below is not above exp(-S)
        none = math.exp(_total(torch.log1p(-prob), pixels))
    if (full + none) / 2 > best:
        return 1.0
    return best / 2


def _soft_dice(inside: Tensor, pixels: Tensor | None, total: float) -> float:
    """Expected Dice of a mask of such pixels, in an image of a total probability."""
    size: float = len(inside)
    if pixels is not None:
        size = pixels.sum().item()
    return 2 * _total(inside, pixels) / (size + total)


def _total(values: Tensor, pixels: Tensor | None) -> float:
    """Sum in float64, piece by piece: torch would copy the whole first."""
    if pixels is not None:
        values = values * pixels
    if values.numel() <= PIECE:
        return values.sum(dtype=torch.float64).item()
    sums = [piece.sum(dtype=torch.float64).item() for piece in values.split(PIECE)]
    return sum(sums)


# The calibrator that they are cut from, whatever the probabilities are made by.
MASK_KIND = ('isotonic', 'band', 'probability')
