"""What each choice of a mask is worth, out of fold: mean Dice and IoU of images."""

import math
from typing import Any

import numpy as np

from .cells import CENTRES, SIDE
from .lookup import evaluate
from .maps import fit_maps
from .selection import FOLDS

# The network's decision; p > 1/2; the largest expected Dice of each image.
MASKS = ('keep', 'accuracy', 'dice')
# The calibrator that they are cut from, whatever the probabilities are made by.
MASK_KIND = ('isotonic', 'band', 'probability')


def mask_figures(
    counts: np.ndarray, images: np.ndarray, sample: np.ndarray
) -> dict[str, Any]:
    """Measure masks of ``(G, B, CELLS, 2)`` sampled images, calibrated out of fold."""
    fold, found = np.arange(len(counts)) % FOLDS, []
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
    kept = np.arange(prob.shape[1]) > SIDE
    total, one = image.sum(-1), image[..., 1]
    masks = (kept, prob > 0.5, prob > _threshold(total, prob))
    figures = []
    for mask in masks:
        hit, size = (one * mask).sum(), (total * mask).sum() + one.sum()
        figures.append((2 * hit / size, hit / (size - hit)) if size else (1.0, 1.0))
    return figures


def _threshold(total: np.ndarray, prob: np.ndarray) -> float:
    """Of ``dice_optimal_mask``, from the counts of an image."""
    mass = (total * prob).sum()
    best, inside = 0.0, np.ones_like(prob, bool)
    while True:
        value = 2 * (total * prob * inside).sum() / ((total * inside).sum() + mass)
        if value <= best:
            break
        best, inside = value, prob > value / 2
    seen = prob[total > 0]
    none = math.exp((total[total > 0] * np.log1p(-seen.clip(0, 1 - 1e-12))).sum())
    return 1.0 if (1 - seen.max() + none) / 2 > best else best / 2
