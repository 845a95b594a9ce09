"""Masks from probabilities: the one with the highest expected Dice."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..common.arrays import as_floats, checked
from .maps import CENTRES, SIDE, evaluate, fit_maps
from .selection import FOLDS

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
        prob (Tensor | np.ndarray): One image ``(H, W)``, one volume ``(D, H, W)``, or a
            batch of them, ``(N, C, H, W)`` or ``(N, C, D, H, W)``; floating point in
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
    if values.dim() not in (2, 3, 4, 5):
        raise ValueError(
            'prob must be (H, W), a volume (D, H, W), or a batch (N, C, H, W) or '
            f'(N, C, D, H, W), got {tuple(values.shape)}'
        )
    pixels = math.prod(values.shape[-3 if values.dim() in (3, 5) else -2 :])
    flat = values.reshape(-1, pixels) if values.numel() else values.flatten(1)
    masks = torch.empty_like(flat, dtype=torch.bool)
    for image, mask in zip(flat, masks):
        torch.gt(image, _threshold(image), out=mask)
    masks = masks.view(values.shape)
    return masks.numpy() if isinstance(prob, np.ndarray) else masks


def _threshold(prob: Tensor) -> float:
    """Threshold of one image of ``(P,)`` probabilities; 1 for an empty mask."""
    total = _total(prob)
    if not total:
        return 1.0
    best = 2 * total / (len(prob) + total)
    inside = prob
    while True:
        inside = inside[inside > best / 2]
        hit = _total(inside)
        value = 2 * hit / (len(inside) + total)
        if value <= best:
            break
        best = value

    full = 1 - prob.max().item()
    none = math.exp(-total)
    if (full + none) / 2 > best:  # as the product below is not above exp(-S)
        none = torch.log1p(-prob).sum(dtype=torch.float64).exp().item()
    return 1.0 if (full + none) / 2 > best else best / 2


def _total(prob: Tensor) -> float:
    """Sum in float64, piece by piece: torch would copy the whole first."""
    pieces = prob.split(PIECE)
    return sum(piece.sum(dtype=torch.float64).item() for piece in pieces)


# The network's decision; p > 1/2; the largest expected Dice of each image.
MASKS = ('keep', 'accuracy', 'dice')
# The calibrator that they are cut from, whatever the probabilities are made by.
MASK_KIND = ('isotonic', 'band', 'probability')


def mask_figures(
    counts: np.ndarray, images: np.ndarray, sample: np.ndarray
) -> dict[str, Any]:
    """Measure masks of ``(G, B, CELLS, 2)`` sampled images, calibrated out of fold."""
    fold = np.arange(len(counts)) % FOLDS
    found = []
    for number in np.unique(fold):
        own = fold == number
        maps = fit_maps(counts[~own].sum(0), images[~own].sum(), *MASK_KIND)
        prob = 1 / (1 + np.exp(-evaluate(maps, CENTRES, MASK_KIND[-1])))
        prob = np.broadcast_to(prob, counts.shape[1:3])
        found += [_figures(image, prob) for image in sample[own] if image.any()]
    figures: dict[str, Any] = dict(images=len(found))
    for name, (dice, iou) in zip(MASKS, np.mean(found, 0).tolist()):
        figures[name] = dict(dice=dice, iou=iou)
    return figures


def _figures(image: np.ndarray, prob: np.ndarray) -> list[tuple[float, float]]:
    """Dice and IoU of an image under each mask."""
    shipped = np.arange(prob.shape[1]) > SIDE
    total = image.sum(-1)
    one = image[..., 1]
    masks = (shipped, prob > 0.5, prob > _threshold_of_counts(total, prob))
    figures = []
    for mask in masks:
        hit = (one * mask).sum()
        size = (total * mask).sum() + one.sum()
        figures.append((2 * hit / size, hit / (size - hit)) if size else (1.0, 1.0))
    return figures


def _threshold_of_counts(total: np.ndarray, prob: np.ndarray) -> float:
    """Of ``dice_optimal_mask``, from the counts of an image."""
    mass = (total * prob).sum()
    best = 0.0
    inside = np.ones_like(prob, bool)
    while True:
        value = 2 * (total * prob * inside).sum() / ((total * inside).sum() + mass)
        if value <= best:
            break
        best = value
        inside = prob > value / 2
    seen = prob[total > 0]
    none = math.exp((total[total > 0] * np.log1p(-seen.clip(0, 1 - 1e-12))).sum())
    return 1.0 if (1 - seen.max() + none) / 2 > best else best / 2
