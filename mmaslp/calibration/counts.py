"""What an image holds: its pixels, and those of its objects, by band and cell of p.

Every feature of an image or an object is a sum over these counts. So a calibrator can
be fitted anew in each fold without reading an image twice. A code is a band of distance
from the border of the mask p > 1/2, times ``CELLS``, plus a cell of the logit, see
:mod:`~mmaslp.calibration.maps`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..common.bands import NUM_BANDS, border_bands
from ..common.components import find_objects
from .maps import CELLS, SIDE, as_logits, cell_numbers

CODES = NUM_BANDS * CELLS
# Pixels that are coded at a time.
_PIECE = 2**18


@dataclass(frozen=True)
class ImageCounts:
    """Counts of one image or volume with K codes and O objects.

    An object is a connected component of the mask p > 1/2, connected by faces. The
    counts take at most 16 KB an image and as much an object.

    Attributes:
        group (int): Images of one group are fitted or measured, never both.
        codes (np.ndarray): ``(K,)`` codes of the pixels, ascending.
        counts (np.ndarray): ``(K, 3)`` pixels of label 0, of label 1, and ignored.
        owners (np.ndarray): ``(E,)`` which object each entry of the next two is of.
        object_codes (np.ndarray): ``(E,)`` codes of the pixels of objects.
        object_counts (np.ndarray): ``(E, 3)`` as ``counts``.
        num_objects (int): O.
    """

    group: int
    codes: np.ndarray
    counts: np.ndarray
    owners: np.ndarray
    object_codes: np.ndarray
    object_counts: np.ndarray
    num_objects: int

    @cached_property
    def pixels(self) -> np.ndarray:
        """``(K,)`` all pixels by code, also those that are ignored."""
        return self.counts.sum(1)

    @cached_property
    def in_mask(self) -> np.ndarray:
        """``(K,)`` whether the pixels of a code lie in the mask p > 1/2."""
        return self.codes % CELLS > SIDE

    @property
    def labels(self) -> np.ndarray:
        """``(NUM_BANDS, CELLS, 2)`` int64 pixels of both labels."""
        whole = np.zeros((CODES, 2), np.int64)
        whole[self.codes] = self.counts[:, :2]
        return whole.reshape(NUM_BANDS, CELLS, 2)

    def sums_of_objects(self, values: np.ndarray) -> np.ndarray:
        """``(O,)`` sum over the pixels of each object of ``(CODES,)`` values."""
        sums = values[self.object_codes] * self.object_counts.sum(1)
        return np.bincount(self.owners, sums, self.num_objects)

    def labels_of_objects(self) -> np.ndarray:
        """``(O, 2)`` pixels of both labels of each object."""
        labels = np.zeros((self.num_objects, 2))
        np.add.at(labels, self.owners, self.object_counts[:, :2])
        return labels


def count_image(
    values: Tensor, logits: bool, kind: Tensor | None = None, group: int = 0
) -> tuple[ImageCounts, np.ndarray]:
    """Count an image ``(H, W)`` or a volume ``(D, H, W)``; also number its objects.

    Args as those of :func:`count_pixels`; the labels of the objects have the shape of
    the values.
    """
    maps = values.reshape(-1, *values.shape[-2:])
    mixed, mask, counts = count_pixels(maps, logits, kind)
    shape = values.shape
    return count_objects(mixed.reshape(shape), mask.reshape(shape), counts, group)


def count_objects(
    mixed: np.ndarray, mask: np.ndarray, counts: np.ndarray, group: int = 0
) -> tuple[ImageCounts, np.ndarray]:
    """Count the pixels of the objects of an image; also give the map of their labels.

    Arguments are those that :func:`count_pixels` returns, in the shape of the image.
    """
    labels, number = find_objects(mask)
    codes = np.flatnonzero(counts.any(1))
    inside = codes[codes % CELLS > SIDE]

    if number == 1 and counts[inside].sum() == np.count_nonzero(labels):
        owners = np.zeros(len(inside), np.int64)  # the object is the mask
        object_codes = inside
        object_counts = counts[inside]
    else:
        places = np.flatnonzero(labels)
        owner = labels.ravel()[places].astype(np.int64) - 1
        keys, times = np.unique(
            owner * (4 * CODES) + mixed.ravel()[places], return_counts=True
        )
        entries, row = np.unique(keys // 4, return_inverse=True)
        object_counts = np.zeros((len(entries), 4), np.int64)
        object_counts[row, keys % 4] = times
        owners, object_codes = np.divmod(entries, CODES)

    image = ImageCounts(
        group,
        codes,
        counts[codes, :3],
        owners,
        object_codes,
        object_counts[:, :3],
        number,
    )
    return image, labels


def count_pixels(
    values: Tensor, logits: bool, kind: Tensor | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Code every pixel of ``(M, H, W)`` maps by band, cell and kind, and count codes.

    Returns:
        tuple[np.ndarray, np.ndarray, np.ndarray]: ``(M, H, W)`` int16, 4 times the code
        plus the kind, by default 0 (0 and 1 are the labels, 2 is ignored); the mask
        p > 1/2; and ``(CODES, 4)`` how often each code and kind occurs.
    """
    mixed = np.empty(values.shape, np.int16)
    mask = np.empty(values.shape, bool)
    counts = torch.zeros(4 * CODES, dtype=torch.int64)

    # Slice by slice, to bound the memory.
    step = max(1, _PIECE // max(1, values[0].numel()))
    for start in range(0, len(values), step):
        part = slice(start, start + step)
        logit = values[part] if logits else as_logits(values[part])
        inside = logit > 0
        code = border_bands(inside).int().mul_(CELLS).add_(cell_numbers(logit)).mul_(4)
        if kind is not None:
            code.add_(kind[part])
        counts += torch.bincount(code.flatten(), minlength=4 * CODES).cpu()
        mixed[part] = code.short().cpu()
        mask[part] = inside.cpu()
    return mixed, mask, counts.view(-1, 4).numpy()
