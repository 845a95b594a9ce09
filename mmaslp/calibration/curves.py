r"""The monotone curves of a logit that calibrators apply, on one grid of cells.

Cells have one width in :math:`v = z / (1 + |z| / 4)`: .025 of a logit at p = 1/2, .13
at |z| = 5 and .6 at the ends, :math:`p = 10^{-7}` and :math:`1 - 10^{-7}`. Logits
beyond an end share a cell. A cell never holds both sides of p = 1/2; the point itself
belongs to the background, as in the decision p > 1/2.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

# Cells of each side of p = 1/2, without the one beyond the end.
SIDE = 128
CELLS = 2 * SIDE + 2
# The logit beyond which a probability counts as 0 or 1.
LIMIT = math.log((1 - 1e-7) / 1e-7)
_SOFT = 4.0
_SPAN = LIMIT / (1 + LIMIT / _SOFT)


def cell_numbers(logit: Tensor, side: int = SIDE) -> Tensor:
    """Number every logit's cell, from 0 below the ends to 2 * side + 1 above, int32."""
    # Infinite logits would divide to nan.
    inside = logit.clamp(-2 * LIMIT, 2 * LIMIT)
    scale = inside.abs().mul_(1 / _SOFT).add_(1)
    number = inside.div_(scale).mul_(side / _SPAN).ceil_().int()
    # nan becomes the first or the last.
    return number.add_(side).clamp_(0, 2 * side + 1)


def breaks(side: int = SIDE) -> np.ndarray:
    """Return the logits between the cells of one side, from 0 to ``LIMIT``."""
    scaled = np.linspace(0, _SPAN, side + 1)
    return np.append(scaled[:-1] / (1 - scaled[:-1] / _SOFT), LIMIT)


_HIGH = np.append(breaks(2 * SIDE)[1::2], LIMIT)
# (CELLS,) the logit that stands for each cell.
CENTRES = np.concatenate([-_HIGH[::-1], _HIGH])


# Logits and calibrated logits, ``(K,)`` each, ascending.
Curve = tuple[np.ndarray, np.ndarray]

# Segments end at the centres of the cells and between the cells.
_HALVES = 2 * SIDE


def evaluate(curves: Sequence[Curve], logit: np.ndarray, target: str) -> np.ndarray:
    """``(B, K)`` calibrated logits of ``(K,)`` by B curves; 0 counts as positive."""
    if target == 'probability':
        return _values_at(curves, logit)
    size = np.abs(logit)
    value = _values_at(curves, size)
    # A decision is kept by a size that float32 tells from 0.
    return np.where(logit < 0, -1, 1) * np.maximum(value, 1e-4 * (1 + size))


def _values_at(curves: Sequence[Curve], logit: np.ndarray) -> np.ndarray:
    """``(B, K)`` values of B curves, linear between their knots."""
    return np.stack([np.interp(logit, knots, values) for knots, values in curves])


def segments(curves: Sequence[Curve], target: str) -> np.ndarray:
    """``(2, B, S)`` shift and slope of every segment of B curves."""
    high = breaks(_HALVES)
    # Both sides have a value at 0.
    low = -np.maximum(high[::-1], np.finfo(float).tiny)
    parts = []
    for ends in (low, high):
        value = evaluate(curves, ends, target)
        slope = np.diff(value) / np.diff(ends)
        parts.append(np.stack([value[:, :-1] - slope * ends[:-1], slope]))
    # A logit at an end may fall into the cell beyond it.
    return np.concatenate([parts[0][..., :1], *parts, parts[1][..., -1:]], 2)


def look_up(logit: Tensor, band: Tensor | None, table: Tensor) -> Tensor:
    """Calibrate logits by ``(2, B, S)`` segments; bands are None where B is 1.

    Those beyond ``LIMIT`` count as it, as they did in the fit.
    """
    index = cell_numbers(logit, _HALVES)
    if band is not None:
        index.add_(band.int().mul_(table.shape[2]))
    # An exported view has one size: the sum below refuses logits of another.
    shift, slope = (
        part.flatten().index_select(0, index.flatten()).view(logit.shape)
        for part in table.unbind()
    )
    return torch.addcmul(shift, slope, logit.clamp(-LIMIT, LIMIT))


def as_logits(prob: Tensor) -> Tensor:
    """Logits of probabilities, above 0 for all above 1/2, infinite for 0 and 1."""
    prob = prob.clamp(0, 1)
    # The bits of torch.logit, but where many p are 0 or 1 up to 60 times as fast.
    is_end = (prob == 0) | (prob == 1)
    odds = (prob / (1 - prob)).masked_fill_(is_end, 1)
    return torch.where(is_end, (prob - 0.5) * torch.inf, torch.log(odds))
