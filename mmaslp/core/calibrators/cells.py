r"""Cells of the logit: the one grid that counts are kept on and maps are tabulated on.

Cells have one width in :math:`v = z / (1 + |z| / 4)`: .025 of a logit at p = 1/2, .13
at |z| = 5 and .6 at the ends, which lie at :math:`p = 10^{-7}` and :math:`1 - 10^{-7}`.
Logits beyond them share one cell a side. A cell never holds both sides of p = 1/2; that
point itself belongs to the background, as in the decision p > 1/2.
"""

import math

import numpy as np
from torch import Tensor

__all__ = ['CELLS', 'CENTRES', 'LIMIT', 'SIDE', 'breaks', 'cell_numbers', 'intervals']

# Cells of each side of p = 1/2, without the one beyond the end.
SIDE = 128
CELLS = 2 * SIDE + 2
# The logit beyond which a probability counts as 0 or 1.
LIMIT = math.log((1 - 1e-7) / 1e-7)

_SOFT = 4.0
_SPAN = LIMIT / (1 + LIMIT / _SOFT)


def cell_numbers(logit: Tensor, side: int = SIDE) -> Tensor:
    """Number of the cell of every logit.

    Args:
        logit (Tensor): Floating point, any shape; nan counts as p = 1/2.
        side (int): Cells of each side. Defaults to ``SIDE``.

    Returns:
        Tensor: int32, in [0, 2 * side + 1]: 0 and the last are beyond the ends, side is
        the last with p <= 1/2.
    """
    # Infinite logits would divide to nan.
    size = logit.abs().clamp_(max=2 * LIMIT)
    scaled = logit.clamp(-2 * LIMIT, 2 * LIMIT).div_(size.div_(_SOFT).add_(1))
    scaled = scaled.mul_(side / _SPAN).ceil_().clamp_(-side, side + 1)
    return scaled.nan_to_num_().int().add_(side)


def breaks(side: int = SIDE) -> np.ndarray:
    """Return the logits between the cells of one side, from 0 to ``LIMIT``.

    Args:
        side (int): Cells of each side. Defaults to ``SIDE``.
    """
    scaled = np.linspace(0, _SPAN, side + 1)
    edges = scaled / (1 - scaled / _SOFT)
    edges[-1] = LIMIT
    return edges


def intervals(side: int = SIDE) -> np.ndarray:
    """Return the ``(side + 1,)`` logit that stands for each cell with p > 1/2."""
    return np.append(breaks(2 * side)[1::2], LIMIT)


# (CELLS,) the logit that stands for each cell.
CENTRES = np.concatenate([-intervals()[::-1], intervals()])
