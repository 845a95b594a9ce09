"""Maps as tables of line segments: each costs one lookup per pixel."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .cells import SIDE, breaks, cell_numbers
from .maps import Knots

# Segments end at the centres of the cells and between the cells.
_HALVES = 2 * SIDE
# No network gives larger logits; infinite ones have no calibrated value.
_MOST = 1e4
# Least size of a calibrated logit that keeps its decision: float32 tells it from 0.
_LEAST = 1e-4


def evaluate(maps: Sequence[Knots], logit: np.ndarray, target: str) -> np.ndarray:
    """``(B, K)`` calibrated logits of ``(K,)`` by B maps; 0 counts as positive."""
    if target == 'probability':
        return np.stack([np.interp(logit, *each) for each in maps])
    size = np.abs(logit)
    level = np.stack([np.interp(size, *each) for each in maps])
    return np.where(logit < 0, -1, 1) * np.maximum(level, _LEAST * (1 + size))


def segments(maps: Sequence[Knots], target: str) -> np.ndarray:
    """``(2, B, S)`` shift and slope of every segment of B maps."""
    high = breaks(_HALVES)
    # Both sides have a value at 0.
    low = -np.maximum(high[::-1], np.finfo(float).tiny)
    parts = []
    for ends in (low, high):
        level = evaluate(maps, ends, target)
        slope = np.diff(level) / np.diff(ends)
        parts.append(np.stack([level[:, :-1] - slope * ends[:-1], slope]))
    # Beyond an end its segment goes on.
    return np.concatenate([parts[0][..., :1], *parts, parts[1][..., -1:]], 2)


def look_up(logit: Tensor, band: Tensor | None, table: Tensor) -> Tensor:
    """Calibrate logits by ``(2, B, S)`` segments; bands are None where B is 1."""
    index = cell_numbers(logit, _HALVES)
    if band is not None:
        index.add_(band.int().mul_(table.shape[2]))
    index = index.flatten()

    shifts, slopes = table[0].flatten(), table[1].flatten()
    shift, slope = shifts.index_select(0, index), slopes.index_select(0, index)
    found = torch.addcmul(shift, slope, logit.clamp(-_MOST, _MOST).flatten())
    return found.view(logit.shape)
