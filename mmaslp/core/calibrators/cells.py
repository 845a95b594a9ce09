r"""Cells of the logit: the one grid for counts and for tabulated maps.

Cells have one width in :math:`v = z / (1 + |z| / 4)`: .025 of a logit at p = 1/2, .13
at |z| = 5 and .6 at the ends, :math:`p = 10^{-7}` and :math:`1 - 10^{-7}`. Logits
beyond an end share a cell. A cell never holds both sides of p = 1/2; the point itself
belongs to the background, as in the decision p > 1/2.
"""

import math

import numpy as np
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
