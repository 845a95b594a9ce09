"""Maps as tables of line segments, so that each costs one lookup per pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..bands import border_values
from .cells import SIDE, breaks, cell_numbers
from .maps import Knots

__all__ = ['evaluate', 'map_logits', 'segments']

# Segments end at the centres of the cells and between the cells.
_HALVES = 2 * SIDE
# No network gives larger logits; infinite ones have no calibrated value.
_MOST = 1e4
# Least size of a calibrated logit that keeps its decision: float32 tells it from 0.
_LEAST = 1e-4


def segments(maps: Sequence[Knots], target: str) -> np.ndarray:
    """Tabulate the maps of a calibrator.

    Args:
        maps (Sequence[Knots]): One for all pixels, or one of each band.
        target (str): 'confidence' or 'probability'.

    Returns:
        np.ndarray: ``(2, B, S)`` float64, shift and slope of each segment.
    """
    high = breaks(_HALVES)
    # Both sides of p = 1/2 have a value there.
    ends = np.concatenate([-high[::-1], high])
    ends[_HALVES] = -np.finfo(float).tiny
    level = evaluate(maps, ends, target)
    low = _lines(-high[::-1], level[:, : len(high)])
    return np.concatenate([low, _lines(high, level[:, len(high) :])], 2)


def evaluate(maps: Sequence[Knots], logit: np.ndarray, target: str) -> np.ndarray:
    """Calibrate some logits by every map.

    Args:
        maps (Sequence[Knots]): B maps.
        logit (np.ndarray): ``(K,)`` within ``LIMIT``; 0 counts as above 1/2.
        target (str): See :func:`segments`.

    Returns:
        np.ndarray: ``(B, K)``.
    """
    if target == 'probability':
        return np.stack([np.interp(logit, *each) for each in maps])
    size = np.abs(logit)
    level = np.stack([np.interp(size, *each) for each in maps])
    return np.where(logit < 0, -1, 1) * np.maximum(level, _LEAST * (1 + size))


def map_logits(logit: Tensor, table: Tensor) -> Tensor:
    """Calibrate the logits of maps of one size; can be exported.

    Args:
        logit (Tensor): ``(M, H, W)``, float32 or float64.
        table (Tensor): ``(2, B, S)`` segments, of its dtype and device.

    Returns:
        Tensor: ``(M, H, W)``.
    """
    _, bands, size = table.shape
    shift, slope = table.flatten(1).unbind()
    index = cell_numbers(logit, _HALVES)
    if bands > 1:
        first = torch.arange(0, bands * size, size, dtype=torch.int32)
        index = index + border_values(logit > 0, first.to(logit.device))
    index = index.flatten()
    shift, slope = shift.index_select(0, index), slope.index_select(0, index)
    return torch.addcmul(shift, slope, logit.clamp(-_MOST, _MOST).flatten()).view(
        logit.shape
    )


def _lines(ends: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Shift and slope between ``(K,)`` ends of ``(B, K)`` levels, and beyond one.

    Returns ``(2, B, K)``: the segment farthest from 0 comes twice.
    """
    slope = np.diff(level) / np.diff(ends)
    lines = np.stack([level[:, :-1] - slope * ends[:-1], slope])
    outer = lines[..., :1] if ends[0] < 0 else lines[..., -1:]
    return np.concatenate([outer, lines] if ends[0] < 0 else [lines, outer], 2)
