"""What each way to cut a mask is worth, out of fold."""

from typing import Any

import numpy as np
import torch

from ..maps import CENTRES, SIDE, evaluate
from ..masks import MASK_KIND, MASKS, dice_threshold
from .methods import fit_maps
from .selection import FOLDS


def measure_masks(
    counts: np.ndarray, images: np.ndarray, sample: np.ndarray
) -> dict[str, Any]:
    """Measure masks of ``(G, B, CELLS, 2)`` sampled images, calibrated out of fold."""
    fold = np.arange(len(counts)) % FOLDS
    measured = []
    for number in np.unique(fold):
        rest = fold != number
        maps = fit_maps(counts[rest].sum(0), images[rest].sum(), *MASK_KIND)
        prob = 1 / (1 + np.exp(-evaluate(maps, CENTRES, MASK_KIND[-1])))
        measured += [
            _measure_image(image, prob) for image in sample[~rest] if image.any()
        ]

    means = np.mean(measured, 0).tolist()
    metrics = {
        name: dict(dice=dice, iou=iou) for name, (dice, iou) in zip(MASKS, means)
    }
    return dict(images=len(measured), **metrics)


def _measure_image(image: np.ndarray, prob: np.ndarray) -> list[tuple[float, float]]:
    """Dice and IoU of the ``(B, CELLS, 2)`` counts of an image under each mask."""
    total = image.sum(-1)
    one = image[..., 1]
    seen = total > 0
    best = dice_threshold(torch.from_numpy(prob[seen]), torch.from_numpy(total[seen]))
    network = np.broadcast_to(np.arange(prob.shape[1]) > SIDE, prob.shape)

    metrics = []
    for mask in (network, prob > 0.5, prob > best):
        hit = (one * mask).sum()
        size = (total * mask).sum() + one.sum()
        metrics.append((2 * hit / size, hit / (size - hit)) if size else (1.0, 1.0))
    return metrics
