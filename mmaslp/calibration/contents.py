"""What an image holds: its pixels, and those of its objects, by band and cell of p.

Every figure of an image or an object is a sum over these counts. So a calibrator can be
fitted anew in each fold without reading an image twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..common.bands import NUM_BANDS
from ..common.components import find_objects
from .maps import CELLS, SIDE

CODES = NUM_BANDS * CELLS
# Objects of an image that are counted by a table; more by sorting their pixels.
_DENSE = 64


@dataclass(frozen=True)
class Contents:
    """Counts of one image or volume with K codes and O objects.

    An object is a connected component of the mask p > 1/2, connected by faces. A code
    is a band of distance from the border of the mask, times ``CELLS``, plus a cell of
    the logit, see :mod:`~mmaslp.calibration.maps`. A state takes at most 16 KB an image
    and as much an object.

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
        found = values[self.object_codes] * self.object_counts.sum(1)
        return np.bincount(self.owners, found, self.num_objects)

    def labels_of_objects(self) -> np.ndarray:
        """``(O, 2)`` pixels of both labels of each object."""
        return np.stack(
            [
                np.bincount(self.owners, self.object_counts[:, label], self.num_objects)
                for label in (0, 1)
            ],
            1,
        )


def contents_of(
    mixed: np.ndarray, mask: np.ndarray, counts: np.ndarray, group: int = 0
) -> tuple[Contents, np.ndarray]:
    """Count the objects of an image; also give the map of their labels.

    ``mixed``, of the shape of the mask, is 4 times the code of a pixel plus its kind: 0
    and 1 the labels, 2 ignored. ``counts`` ``(CODES, 4)`` is how often each occurs.
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
        keys = owner * (4 * CODES) + mixed.ravel()[places]
        entries, object_counts = _sparse(keys, number)
        owners, object_codes = np.divmod(entries, CODES)

    found = Contents(
        group,
        codes,
        counts[codes, :3],
        owners,
        object_codes,
        object_counts[:, :3],
        number,
    )
    return found, labels


def _sparse(mixed: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes that occur, ascending, and ``(E, 4)`` how often, by kind."""
    if number <= _DENSE:
        table = np.bincount(mixed, minlength=number * CODES * 4).reshape(-1, 4)
        codes = np.flatnonzero(table.any(1))
        return codes, table[codes]
    values, times = np.unique(mixed, return_counts=True)
    codes, place = np.unique(values // 4, return_inverse=True)
    table = np.zeros((len(codes), 4), np.int64)
    table[place, values % 4] = times
    return codes, table
