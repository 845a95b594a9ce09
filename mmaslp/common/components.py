"""Objects: the connected components of a mask."""

import numpy as np
from scipy import ndimage

# Least share of the image that an object has, of an image and of a volume. What is
# smaller stays in the mask and is not judged.
LEAST_SHARE = {2: 1e-3, 3: 1e-6}
# An object is real if more than this share of its pixels is foreground.
MIN_OVERLAP = 0.5


def find_objects(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Number the objects of a mask ``(H, W)`` or ``(D, H, W)``, from 1 on.

    An object is connected by faces. Components of less than the least share of the
    image are 0, as the background.

    Returns:
        tuple[np.ndarray, int]: int32 of the shape of the mask, and the number of
        objects.
    """
    found = np.zeros(mask.shape, np.int32)
    if not mask.any():
        return found, 0
    [box] = ndimage.find_objects(mask.view(np.uint8))  # most of a volume is outside
    number = ndimage.label(mask[box], output=found[box])
    area = np.bincount(found[mask], minlength=number + 1)
    axes = 2 if len(mask) == 1 else mask.ndim
    large = area >= LEAST_SHARE[axes] * mask.size
    large[0] = False
    if not large[1:].all():
        names = np.where(large, np.cumsum(large), 0).astype(np.int32)
        found[mask] = names[found[mask]]
    return found, int(large.sum())


def is_real(foreground: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Whether objects are real, by their pixels of foreground and with a label."""
    return foreground > MIN_OVERLAP * known
