"""Counts of many images in little memory, without loss."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ..features import CODES, ImageCounts, filled_rows

# Labels 0 and 1, and ignored pixels: the columns of counts.
_KINDS = 3


@dataclass(frozen=True, slots=True)
class _Row:
    """An image whose counts are packed."""

    group: int
    key: int | None
    data: bytes


class PackedImages:
    """What images hold, packed one by one: 0.2 KB of 24 x 24 pixels, 2 KB of 320 x 320.

    Args:
        images (Iterable[ImageCounts]): The first ones. Defaults to none.
    """

    def __init__(self, images: Iterable[ImageCounts] = ()) -> None:
        self._rows: list[_Row] = []
        for image in images:
            self.append(image)

    def append(self, image: ImageCounts) -> None:
        """Add an image."""
        self._rows.append(_Row(image.group, image.key, _pack(image)))

    def extend(self, other: 'PackedImages') -> None:
        """Add all images of another one, which keeps them too."""
        self._rows.extend(other._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> ImageCounts:
        row = self._rows[number]
        return _unpack(row.data, row.group, row.key)

    def __iter__(self) -> Iterator[ImageCounts]:
        for number in range(len(self)):
            yield self[number]

    @property
    def groups(self) -> np.ndarray:
        """``(I,)`` group of each image."""
        return np.array([row.group for row in self._rows], int)

    @property
    def keys(self) -> list[int]:
        """list[int]: Key of each image, of one that has none its number."""
        return [
            number if row.key is None else row.key
            for number, row in enumerate(self._rows)
        ]


def _pack(image: ImageCounts) -> bytes:
    """Give the counts of an image as bytes.

    Pixels of objects are counted once: what is kept beside them are the pixels of no
    object. Entries ascend by code in each object, so steps from code to code are small.
    """
    of_objects = _counts_by_code(image.object_codes, image.object_counts)
    elsewhere = -of_objects
    elsewhere[image.codes] += image.counts
    codes_elsewhere = filled_rows(elsewhere)
    codes = np.concatenate([codes_elsewhere, image.object_codes])
    counts = np.concatenate([elsewhere[codes_elsewhere], image.object_counts])

    sizes = [image.num_objects, len(codes_elsewhere)]
    entries_of_objects = np.bincount(image.owners, minlength=image.num_objects)
    steps = np.diff(codes, prepend=0) % CODES
    values = np.concatenate([sizes, entries_of_objects, steps, counts.T.ravel()])
    return _compress(values)


def _unpack(data: bytes, group: int, key: int | None) -> ImageCounts:
    """Read what :func:`_pack` gave."""
    values = _decompress(data)
    number_of_objects, number_elsewhere = values[:2].tolist()
    end_of_sizes = 2 + number_of_objects
    sizes = values[2:end_of_sizes]
    entries = values[end_of_sizes:].reshape(1 + _KINDS, -1)
    codes = np.cumsum(entries[0]) % CODES
    counts = entries[1:].T

    whole = _counts_by_code(codes, counts)
    codes_of_image = filled_rows(whole)
    return ImageCounts(
        group=group,
        codes=codes_of_image,
        counts=whole[codes_of_image],
        owners=np.repeat(np.arange(number_of_objects), sizes),
        object_codes=codes[number_elsewhere:],
        object_counts=counts[number_elsewhere:],
        num_objects=number_of_objects,
        key=key,
    )


def _counts_by_code(codes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """``(CODES, 3)`` sums of ``(E, 3)`` counts, which float64 holds exactly."""
    whole = np.empty((CODES, _KINDS), np.int64)
    for kind in range(_KINDS):
        whole[:, kind] = np.bincount(codes, counts[:, kind], CODES)
    return whole


def _compress(values: np.ndarray) -> bytes:
    """Integers as bytes: first how many bytes each has.

    All first bytes come first, then all second ones: most of the higher ones are 0, and
    a run of zeros takes nothing.
    """
    dtype = np.min_scalar_type(values.max())
    by_place = values.astype(dtype).view(np.uint8).reshape(-1, dtype.itemsize).T
    # Of all ways of zlib the one of runs is the fastest, and the smallest here.
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS, 8, zlib.Z_RLE)
    packed = packer.compress(by_place.tobytes())
    return bytes([dtype.itemsize]) + packed + packer.flush()


def _decompress(data: bytes) -> np.ndarray:
    """Read what :func:`_compress` gave, as int64."""
    size = data[0]
    by_place = np.frombuffer(
        zlib.decompress(data[1:], -zlib.MAX_WBITS), np.uint8
    ).reshape(size, -1)
    values = np.ascontiguousarray(by_place.T).view(f'u{size}')
    return values.ravel().astype(np.int64)
