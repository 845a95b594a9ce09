"""What happens to a map before it is measured."""

import math
from typing import TypeVar

import numpy as np
from torch import Tensor

PROTOCOLS = ('raw', 'released')

Map = TypeVar('Map', Tensor, np.ndarray)


def check_protocol(protocol: str) -> None:
    """Refuse unknown protocols.

    Args:
        protocol (str): 'raw' or 'released'.

    Raises:
        ValueError: ``protocol`` is neither 'raw' nor 'released'.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f'protocol must be one of {PROTOCOLS}, not {protocol!r}')


def apply_protocol(prob: Map, protocol: str, valid: Map | None = None) -> Map:
    """Prepare one map.

    'raw' leaves it as it is. 'released' does what the released ASLP code does before it
    measures: stretch each image to [0, 1] and round to 8 bits. That makes every
    image's darkest pixel 0 and its brightest 1, however unsure the model was, so it
    changes the probabilities that are measured (an empty scene is hit worst). It is
    here only to compare with published numbers.

    Source: ``test`` in https://github.com/Carlisle-Liu/ASLP.

    Args:
        prob (Tensor | np.ndarray): ``(H, W)`` in [0, 1].
        protocol (str): 'raw' or 'released'.
        valid (Tensor | np.ndarray, optional): ``(H, W)`` bool, False for pixels that
            are ignored and so do not set the stretch. Defaults to None: all count.

    Returns:
        Tensor | np.ndarray: ``(H, W)`` in [0, 1], of the type of ``prob``.
    """
    if protocol == 'raw':
        return prob
    seen = prob if valid is None else prob[valid]
    if not math.prod(seen.shape):
        return prob
    low, high = seen.min(), seen.max()
    return ((prob - low) / (high - low + 1e-8) * 255).round() / 255
