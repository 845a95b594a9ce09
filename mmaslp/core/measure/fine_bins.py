"""A coarse histogram per image, for resampling the equal-mass error."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..argument_checks import check_integer
from .bin_table import BinTable

__all__ = ['LEAST', 'SORTED', 'FineBins', 'fine_per_bin', 'pack']

# Metrics whose resamples need the fine bins.
SORTED = ('ece_em',)

# Least number of fine bins in [0, 1]: above 255, so no two 8-bit values share one.
LEAST = 256
# Most fine bins of a file, and most bytes that all its rows may unpack to.
MAX_NUMBER = 2**16
MAX_UNPACKED = 2**28
# Images spread out over all fine bins at a time: 6 MB for 256 fine bins.
BLOCK = 1024
ROW = np.dtype(
    [('bin', '<u4'), ('count', '<u4'), ('correct', '<u4'), ('excess', '<f4')]
)


def fine_per_bin(bins: int) -> int:
    """How many equal fine bins divide each of ``bins`` equal-width bins."""
    return -(-LEAST // bins)


def pack(table: BinTable) -> np.ndarray:
    """Keep the fine bins of one image that are not empty."""
    filled = np.flatnonzero(table.count)
    own = table.take(filled)
    rows = np.empty(len(filled), ROW)
    rows['bin'], rows['count'], rows['correct'] = filled, own.count, own.correct
    rows['excess'] = own.conf - filled * (own.count / len(table.count))
    return rows


class FineBins:
    """Counts of every image in the fine bins, without the empty ones."""

    def __init__(self, images: Sequence[np.ndarray], number: int) -> None:
        self.images = list(images)
        self.number = number

    def pooled(self, weights: np.ndarray | None = None) -> BinTable:
        """Add up the images."""
        if weights is None:
            return self.pooled(np.ones((1, len(self.images)))).take(0)
        rows = np.concatenate([np.empty(0, ROW), *self.images], dtype=ROW)
        filled = np.bincount(rows['bin'], minlength=self.number) > 0
        place = (np.cumsum(filled) - 1)[rows['bin']]
        lengths = [len(image) for image in self.images]
        owner = np.repeat(np.arange(len(lengths)), lengths)
        conf = rows['excess'] + rows['bin'] * (rows['count'] / self.number)
        sums = np.zeros((3, len(weights), filled.sum()))
        for start in range(0, len(lengths), BLOCK):
            share = weights[:, start : start + BLOCK]
            own = slice(*np.searchsorted(owner, [start, start + BLOCK]))
            dense = np.zeros((3, share.shape[1], filled.sum()))
            for each, column in zip(dense, (rows['count'], rows['correct'], conf)):
                each[owner[own] - start, place[own]] = column[own]
            sums += share @ dense
        # Integers below 2**53 in float64: the counts are exact.
        return BinTable(sums[0].astype(np.int64), sums[1].astype(np.int64), sums[2])

    def take(self, rows: Sequence[int] | np.ndarray) -> FineBins:
        """Return the images of some rows, in the given order."""
        return FineBins([self.images[row] for row in rows], self.number)

    def to_json(self) -> dict[str, Any]:
        """Return ``number`` and, per image, its packed rows as text."""
        texts = []
        for image in self.images:
            # Bytes of one place together: a quarter smaller.
            planes = image.view(np.uint8).reshape(-1, ROW.itemsize).T
            packed = zlib.compress(planes.tobytes(), level=1)
            texts.append(base64.b64encode(packed).decode('ascii'))
        return {'number': self.number, 'images': texts}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> FineBins:
        """Rebuild the bins."""
        number = check_integer(
            'number of fine bins', content['number'], at_least=1, at_most=MAX_NUMBER
        )
        images, left = [], MAX_UNPACKED
        for text in content['images']:
            try:
                packed = _unpack(text, min(number * ROW.itemsize, left))
                left -= len(packed)
                planes = np.frombuffer(packed, np.uint8).reshape(ROW.itemsize, -1)
                image = planes.T.copy().view(ROW)[:, 0]
            except (ValueError, zlib.error) as error:
                raise ValueError(f'fine bins cannot be unpacked ({error})') from error
            if not (np.diff(image['bin'].astype(int), append=number) > 0).all():
                raise ValueError('the fine bins of an image do not ascend')
            images.append(image)
        return cls(images, number)

    def coarse(self, bins: int) -> np.ndarray:
        """Join the fine bins of every image."""
        if self.number % bins:
            raise ValueError(f'{self.number} fine bins do not divide {bins} bins')
        parts = self.number // bins
        sums = np.zeros((2, len(self.images), bins), np.int64)
        for row, image in enumerate(self.images):
            for each, column in zip(sums, ('count', 'correct')):
                np.add.at(each[row], image['bin'] // parts, image[column])
        return sums


def _unpack(text: str, most: int) -> bytes:
    """Unpack at most so many bytes: a few characters could unpack to gigabytes."""
    stream = zlib.decompressobj()
    packed = stream.decompress(base64.b64decode(text, validate=True), most + 1)
    if len(packed) > most:
        raise ValueError(f'a row unpacks to more than {most:,} bytes')
    if not stream.eof:
        raise ValueError('a row is cut short')
    return packed
