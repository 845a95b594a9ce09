"""Object-free windows of training images: a network learns that there may be nothing.

Pipelines that resize whole images never show an image without an object to a network,
if every image of the set has one. What it finds in such images is then left to chance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Shortest window, as a share of the image's sides, and how often one takes the place of
# a sample: docs/windows.md has the measurements.
SMALLEST = 0.25
PROB = 0.125


class Window(NamedTuple):
    """A rectangle of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )


def find_window(
    mask: np.ndarray, smallest: float = SMALLEST, rng: np.random.Generator | None = None
) -> Window | None:
    """Draw a window in which a mask is 0 everywhere.

    The window has the proportions of the image. Its size is uniform between the
    smallest and the largest that fits, its place uniform among those of this size.

    Args:
        mask (np.ndarray): Label of every pixel, ``(H, W)``: 0 is background, all else
            is not, also the pixels that are ignored.
        smallest (float): Least side of the window, as a share of the image's, in
            (0, 1]. Defaults to 0.25.
        rng (np.random.Generator, optional): Where random numbers come from. Defaults
            to None: a new generator.

    Returns:
        Window, optional: None if the mask leaves no room for the smallest window.
    """
    if mask.ndim != 2 or not 0 < smallest <= 1:
        raise ValueError(
            f'a mask must be (H, W) and `smallest` in (0, 1], got {mask.shape} and '
            f'{smallest!r}'
        )
    rng = rng or np.random.default_rng()
    occupied = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int64)
    occupied[1:, 1:] = (mask != 0).cumsum(0).cumsum(1)

    # A window that fits has a smaller one inside: halve the range of sizes.
    shorter = min(mask.shape)
    least = max(1, int(np.ceil(smallest * shorter)))
    largest, too_large = least - 1, shorter + 1
    while too_large - largest > 1:
        middle = (largest + too_large) // 2
        if _free_places(occupied, middle / shorter).any():
            largest = middle
        else:
            too_large = middle
    if largest < least:
        return None

    share = rng.integers(least, largest + 1) / shorter
    free = _free_places(occupied, share)
    top, left = np.argwhere(free)[rng.integers(np.count_nonzero(free))]
    return Window(int(top), int(left), *_sides(occupied, share))


def _sides(occupied: np.ndarray, share: float) -> tuple[int, int]:
    height, width = (max(1, round(share * (length - 1))) for length in occupied.shape)
    return height, width


def _free_places(occupied: np.ndarray, share: float) -> np.ndarray:
    """Whether a window with its upper left corner here is free, from summed areas."""
    height, width = _sides(occupied, share)
    return (
        occupied[height:, width:] - occupied[:-height, width:]
        == occupied[height:, :-width] - occupied[:-height, :-width]
    )
