"""Object-free windows of training images: a network learns that there may be nothing.

Pipelines that resize whole images never show an image without an object to a network,
if every image of the set has one. What it finds in such images is then left to chance.
"""

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass

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
    areas = _summed_areas(mask)
    shorter = min(mask.shape)
    least = max(1, int(np.ceil(smallest * shorter)))

    def fits_nowhere(size: int) -> bool:
        return not _free_corners(areas, size / shorter).any()

    # A window that fits has a smaller one inside: halve the range of sizes.
    sizes = range(least, shorter + 1)
    fitting = bisect_left(sizes, True, key=fits_nowhere)
    if not fitting:
        return None

    share = sizes[rng.integers(fitting)] / shorter
    corners = np.argwhere(_free_corners(areas, share))
    top, left = corners[rng.integers(len(corners))].tolist()
    height, width = _sides(areas, share)
    return slice(top, top + height), slice(left, left + width)


def _summed_areas(mask: np.ndarray) -> np.ndarray:
    """Pixels of the foreground above and left of each corner, ``(H + 1, W + 1)``."""
    height, width = mask.shape
    areas = np.zeros((height + 1, width + 1), np.int64)
    areas[1:, 1:] = (mask != 0).cumsum(0).cumsum(1)
    return areas


def _sides(areas: np.ndarray, share: float) -> tuple[int, int]:
    """Height and width of a window, of at least one pixel each."""
    height, width = areas.shape
    return max(1, round(share * (height - 1))), max(1, round(share * (width - 1)))


def _free_corners(areas: np.ndarray, share: float) -> np.ndarray:
    """Whether a window with its upper left corner here is free, from summed areas."""
    height, width = _sides(areas, share)
    above = areas[:-height, width:] - areas[:-height, :-width]
    below = areas[height:, width:] - areas[height:, :-width]
    return below == above


@dataclass(frozen=True)
class _Format:
    """What a window has in common with the images that it may replace."""

    library: type
    dtype: torch.dtype | np.dtype
    channels: tuple[int, ...]
    device: torch.device | None = None


def _format_of(image: np.ndarray | Tensor) -> _Format:
    if isinstance(image, Tensor):
        return _Format(Tensor, image.dtype, image.shape[:-2], image.device)
    return _Format(np.ndarray, image.dtype, image.shape[2:])


def _size_of(image: np.ndarray | Tensor) -> tuple[int, ...]:
    """Height and width."""
    if isinstance(image, Tensor):
        return image.shape[-2:]
    return image.shape[:2]


def _filled(image: Map, values: Map | int) -> Map:
    """A copy of the same class, such as one of torchvision, that holds other values."""
    copied = image.clone() if isinstance(image, Tensor) else image.copy()
    copied[...] = values
    return copied


def _cut(image: Map, window: tuple[slice, slice]) -> Map:
    """A copy of what lies in a window."""
    rows, columns = window
    if isinstance(image, Tensor):
        return image[..., rows, columns].clone()
    return image[rows, columns].copy()


def resized(image: Map, height: int, width: int) -> Map:
    """Resize bilinearly, as F.interpolate does; integers are rounded.

    Arrays are ``(H, W)`` or ``(H, W, C)``, tensors ``(..., H, W)``.
    """
    if isinstance(image, Tensor):
        return _resized_tensor(image, height, width)
    native = np.ascontiguousarray(image, image.dtype.newbyteorder('='))
    rows, columns = _size_of(image)
    pixels = torch.from_numpy(native.reshape(rows, columns, -1))
    planes = _resized_tensor(pixels.permute(2, 0, 1), height, width)
    shape = list(image.shape)
    shape[:2] = height, width
    return planes.permute(1, 2, 0).numpy().reshape(shape)


def _resized_tensor(image: Tensor, height: int, width: int) -> Tensor:
    if image.shape[-2:] == (height, width):
        return image
    precise = torch.float32
    if not image.is_floating_point() and image.element_size() > 2:
        precise = torch.float64

    rows, columns = _size_of(image)
    planes = image.reshape(1, -1, rows, columns)
    planes = planes.to(torch.promote_types(image.dtype, precise))
    planes = torch.nn.functional.interpolate(planes, (height, width), mode='bilinear')
    if not image.is_floating_point():
        planes = planes.round()
    shape = list(image.shape)
    shape[-2:] = height, width
    return planes.reshape(shape).to(image.dtype)


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
        self._rng: np.random.Generator | None = None
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        # For images that are full of objects.
        self._earlier_windows: deque = deque(maxlen=32)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob}, smallest={self.smallest})'

    def __call__(self, image: Map, mask: Map) -> tuple[Map, Map]:
        """Give the image and its mask, or a window and a mask of 0."""
        rng = self._rng
        if rng is None:
            # By numpy's global generator.
            rng = np.random.default_rng(np.random.randint(2**31))
        if rng.random() >= self.prob:
            return image, mask

        window = self._window(image, mask, rng)
        if window is None:
            return image, mask
        return _filled(image, window), _filled(mask, 0)

    def batch(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """The same for ``(N, C, H, W)`` and ``(N, H, W)`` or ``(N, 1, H, W)``.

        They may lie on any device, and stay there.
        """
        if not isinstance(images, Tensor) or not len(images) == len(masks) > 0:
            raise ValueError('give tensors of as many images as masks, at least one')
        windows = []
        labels = []
        for image, mask in zip(images, masks):
            window, label = self(image, mask)
            windows.append(window)
            labels.append(label)
        return torch.stack(windows), torch.stack(labels)

    def _window(self, image: Map, mask: Map, rng: np.random.Generator) -> Map | None:
        """A window of the image, else of an earlier one, of the size of the image."""
        as_tensor(image, 'image')  # texts and complex numbers have no mean
        labels = as_tensor(mask, 'mask').cpu().numpy()
        if labels.shape[:-2] == (1,):
            labels = labels[0]
        height, width = _size_of(image)
        if (height, width) != labels.shape:
            raise ValueError(
                f'image {(height, width)} and mask {labels.shape} differ: resize one; '
                'arrays are (H, W, C), tensors (C, H, W); give a batch of tensors to '
                'batch(images, masks)'
            )

        place = find_window(labels, self.smallest, rng)
        if place is not None:
            window = _cut(image, place)
            self._earlier_windows.append(window)
            return resized(window, height, width)

        wanted = _format_of(image)
        others = [
            window for window in self._earlier_windows if _format_of(window) == wanted
        ]
        if not others:
            return None
        return resized(others[rng.integers(len(others))], height, width)
