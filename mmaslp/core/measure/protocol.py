"""What happens to a map before it is measured."""

import math
from typing import TypeVar

import numpy as np
from torch import Tensor

PROTOCOLS = ('raw', 'released')

Map = TypeVar('Map', Tensor, np.ndarray)


def apply_protocol(prob: Map, protocol: str, valid: Map | None = None) -> Map:
    """Prepare one map: leave it ('raw'), or do as the released ASLP code ('released').

    That stretches each image to [0, 1] and rounds to 8 bits: only to compare with
    published numbers.
    """
    if protocol == 'raw':
        return prob
    seen = prob if valid is None else prob[valid]
    if not math.prod(seen.shape):
        return prob
    low, high = seen.min(), seen.max()
    return ((prob - low) / (high - low + 1e-8) * 255).round() / 255
