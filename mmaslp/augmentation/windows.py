"""Object-free windows of training images: a network learns that there may be nothing.

Pipelines that resize whole images never show an image without an object to a network,
if every image of the set has one. What it finds in such images is then left to chance.
"""

from bisect import bisect_left
from collections import deque

import numpy as np
import torch
from torch import Tensor

from ..common.arguments import check_integer, check_number, optional
from ..common.arrays import Map, as_tensor

# Shortest window, as a share of the image's sides, and how often one takes the place of
# a sample: chosen on validation images, see docs/windows.md.
SMALLEST = 0.25
PROB = 0.125


def find_window(
    mask: np.ndarray, smallest: float = SMALLEST, rng: np.random.Generator | None = None
) -> tuple[slice, slice] | None:
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
        tuple[slice, slice], optional: Its rows and columns. None if the mask leaves no
        room for the smallest window.

    Raises:
        ValueError: The mask is not ``(H, W)``, or ``smallest`` is out of its range.
    """
    smallest = check_number('smallest', smallest, above=0, at_most=1)
    if not isinstance(mask, np.ndarray) or mask.ndim != 2 or not mask.size:
        raise ValueError(f'mask must be an array (H, W), got {np.shape(mask)}')
    rng = np.random.default_rng(rng)
    occupied = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int64)
    occupied[1:, 1:] = (mask != 0).cumsum(0).cumsum(1)

    # A window that fits has a smaller one inside: halve the range of sizes.
    shorter = min(mask.shape)
    sizes = range(max(1, int(np.ceil(smallest * shorter))), shorter + 1)
    fitting = bisect_left(
        sizes, True, key=lambda size: not _free_places(occupied, size / shorter).any()
    )
    if not fitting:
        return None

    share = sizes[rng.integers(fitting)] / shorter
    places = np.flatnonzero(_free_places(occupied, share))
    height, width = _sides(occupied, share)
    top, left = divmod(
        int(places[rng.integers(len(places))]), occupied.shape[1] - width
    )
    return slice(top, top + height), slice(left, left + width)


def _sides(occupied: np.ndarray, share: float) -> tuple[int, int]:
    height, width = (max(1, round(share * (length - 1))) for length in occupied.shape)
    return height, width


def _free_places(occupied: np.ndarray, share: float) -> np.ndarray:
    """Whether a window with its upper left corner here is free, from summed areas."""
    height, width = _sides(occupied, share)
    below = occupied[height:, width:] - occupied[height:, :-width]
    return below == occupied[:-height, width:] - occupied[:-height, :-width]


def _kind(image: np.ndarray | Tensor) -> tuple:
    """What a window has in common with the images that it may replace."""
    if isinstance(image, Tensor):
        return Tensor, image.dtype, image.device, image.shape[:-2]
    return np.ndarray, image.dtype, image.shape[2:]


def _filled(given: Map, values: Map | int) -> Map:
    """A copy of the same class, such as one of torchvision, that holds other values."""
    copied = given.clone() if isinstance(given, Tensor) else given.copy()
    copied[...] = values
    return copied


def resized(image: Map, height: int, width: int) -> Map:
    """Resize bilinearly, as F.interpolate does; integers are rounded.

    Arrays are ``(H, W)`` or ``(H, W, C)``, tensors ``(..., H, W)``.
    """
    if not isinstance(image, Tensor):
        native = np.ascontiguousarray(image, image.dtype.newbyteorder('='))
        pixels = torch.from_numpy(native.reshape(*image.shape[:2], -1))
        planes = resized(pixels.permute(2, 0, 1), height, width)
        return planes.permute(1, 2, 0).numpy().reshape(height, width, *image.shape[2:])

    if image.shape[-2:] == (height, width):
        return image
    whole = not image.is_floating_point()
    wide = torch.float64 if whole and image.element_size() > 2 else torch.float32
    wide = torch.promote_types(image.dtype, wide)
    flat = image.reshape(1, -1, *image.shape[-2:]).to(wide)
    planes = torch.nn.functional.interpolate(flat, (height, width), mode='bilinear')
    planes = planes.reshape(*image.shape[:-2], height, width)
    return (planes.round() if whole else planes).to(image.dtype)


class ObjectFreeWindows:
    """Now and then replaces an image by a window of it without an object.

    The window is resized to the image, and its mask is 0 everywhere. An image that is
    full of objects, or ignored, is replaced by a window of an earlier image; it stays
    as it is if there was none.

    Args:
        prob (float): How often, in [0, 1]. Defaults to 0.125.
        smallest (float): Least side of a window, as a share of the image's, in (0, 1].
            Defaults to 0.25.
        seed (int, optional): Of the main process: with it all workers of a loader draw
            alike. Defaults to None: numpy's global generator, which loaders seed in
            each worker.

    Raises:
        ValueError: An argument is out of its range; in a call, image and mask differ in
            size.

    Shape:
        - image: array ``(H, W)`` or ``(H, W, C)``, or tensor ``(..., H, W)``.
        - mask: array or tensor ``(H, W)`` or ``(1, H, W)``, 0 in the background.

    Example:
        >>> windows = ObjectFreeWindows(prob=1.0, seed=0)
        >>> image, mask = np.arange(64.0).reshape(8, 8), np.zeros((8, 8))
        >>> mask[:, 4:] = 1
        >>> window, nothing = windows(image, mask)
        >>> window.shape, nothing.any()
        ((8, 8), np.False_)
    """

    def __init__(
        self, prob: float = PROB, smallest: float = SMALLEST, seed: int | None = None
    ) -> None:
        self.prob = check_number('prob', prob, at_least=0, at_most=1)
        self.smallest = check_number('smallest', smallest, above=0, at_most=1)
        optional(check_integer, 'seed', seed, at_least=0)
        self._rng = None if seed is None else np.random.default_rng(seed)
        # For images that are full of objects.
        self._pool: deque = deque(maxlen=32)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob}, smallest={self.smallest})'

    def __call__(self, image: Map, mask: Map) -> tuple[Map, Map]:
        """Give the image and its mask, or a window and a mask of 0."""
        # By numpy's global generator, if there is no seed.
        rng = self._rng or np.random.default_rng(np.random.randint(2**31))
        if rng.random() >= self.prob:
            return image, mask
        if (window := self._window(image, mask, rng)) is None:
            return image, mask
        return _filled(image, window), _filled(mask, 0)

    def batch(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """The same for ``(N, C, H, W)`` and ``(N, H, W)`` or ``(N, 1, H, W)``.

        They may lie on any device, and stay there.
        """
        if not isinstance(images, Tensor) or not len(images) == len(masks) > 0:
            raise ValueError('give tensors of as many images as masks, at least one')
        windows, labels = map(
            torch.stack, zip(*(self(image, mask) for image, mask in zip(images, masks)))
        )
        return windows, labels

    def _window(self, image: Map, mask: Map, rng: np.random.Generator) -> Map | None:
        """A window of the image, else of an earlier one, of the size of the image."""
        as_tensor(image, 'image')  # texts and complex numbers have no mean
        labels = as_tensor(mask, 'mask').cpu().numpy()
        labels = labels[0] if labels.shape[:-2] == (1,) else labels
        tensor = isinstance(image, Tensor)
        height, width = image.shape[-2:] if tensor else image.shape[:2]
        if (height, width) != labels.shape:
            raise ValueError(
                f'image {(height, width)} and mask {labels.shape} differ: resize one; '
                'arrays are (H, W, C), tensors (C, H, W); give a batch of tensors to '
                'batch(images, masks)'
            )

        if (window := find_window(labels, self.smallest, rng)) is not None:
            rows, columns = window
            part = image[..., rows, columns] if tensor else image[rows, columns]
            part = part.clone() if isinstance(part, Tensor) else part.copy()
            self._pool.append(part)
            return resized(part, height, width)

        if others := [part for part in self._pool if _kind(part) == _kind(image)]:
            return resized(others[rng.integers(len(others))], height, width)
        return None
