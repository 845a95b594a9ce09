"""The sums of every image, from which metrics are pooled again."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..common.bands import BORDER_EDGES, NUM_BANDS
from .band_table import BORDERS, BandTable
from .bins import BinTable, Columns
from .errors import binned_metrics
from .objects import MaskTable


@dataclass(frozen=True, eq=False)
class ImageTable(Columns):
    """The sums of I images; those of all rows give the pooled metrics again.

    Attributes:
        names (list[str]): Of the images.
        table (BinTable): ``(I, bins)`` sums per bin of equal width.
        nll (np.ndarray): ``(I,)`` sums over pixels; also ``brier``.
        band_sums (np.ndarray | None): ``(I, 2, 5, 3)`` int64, :attr:`BandTable.sums`.
            None in positive mode and with more than two classes; so ``masks``.
        masks (MaskTable | None): Estimates of masks and objects, and their truth.
        checksums (np.ndarray | None): ``(I,)`` of the labels, which tell whether two
            results were measured with the same masks.

    Raises:
        ValueError: A name is not a text, or bands and bins hold other pixels.
    """

    names: list[str]
    table: BinTable
    nll: np.ndarray
    brier: np.ndarray
    band_sums: np.ndarray | None = None
    masks: MaskTable | None = None
    checksums: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not all(isinstance(name, str) for name in self.names):
            raise ValueError('a name of the image table is not a text')
        if self.bands is None:
            return
        odd = np.flatnonzero((self.bands.total != self.num_pixels[:, None]).any(1))
        if len(odd):
            raise ValueError(
                f'{self.names[odd[0]]}: its bands and its bins hold other numbers of '
                'pixels: update both with the same image'
            )

    @classmethod
    def empty(cls, bins: int = 10) -> 'ImageTable':
        """Make a table without images."""
        counts = np.zeros((0, bins), np.int64)
        sums = np.zeros(0)
        return cls([], BinTable(counts, counts, counts.astype(float)), sums, sums)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def bands(self) -> BinTable | None:
        """``(I, 2, 5)`` sums by border and band."""
        sums = self.band_sums
        if sums is None:
            return None
        return BinTable(sums[..., 0], sums[..., 1], sums[..., 2] / BandTable.UNIT)

    @property
    def num_pixels(self) -> np.ndarray:
        """``(I,)`` number of valid pixels per image."""
        return self.table.total

    def per_image(self) -> dict[str, np.ndarray]:
        """Binned metrics of every image on its own, ``(I,)``; nan without pixels."""
        return binned_metrics(self.table)

    def to_json(self) -> dict[str, Any]:
        """Return the table by columns, as JSON can hold it."""
        bands = self.band_sums
        columns = {
            'names': self.names,
            'count': self.table.count.tolist(),
            'correct': self.table.correct.tolist(),
            'conf': self.table.conf.tolist(),
            'nll': self.nll.tolist(),
            'brier': self.brier.tolist(),
            'checksums': None if self.checksums is None else self.checksums.tolist(),
            'masks': None if self.masks is None else self.masks.to_json(),
            'bands': None
            if bands is None
            else {'edges': list(BORDER_EDGES), 'sums': bands.tolist()},
        }

        return {key: column for key, column in columns.items() if column is not None}

    @classmethod
    def from_json(cls, columns: dict[str, Any], bins: int) -> 'ImageTable':
        """Rebuild a table of :meth:`to_json`.

        Raises:
            ValueError: Its columns do not fit, or hold what cannot have been counted;
                KeyError if one is missing.
        """
        names = list(columns['names'])
        size = len(names)
        table = BinTable(
            _column(columns, 'count', (size, bins), np.int64),
            _column(columns, 'correct', (size, bins), np.int64),
            _column(columns, 'conf', (size, bins), np.float64),
        )
        _check_counts(table)
        pixels = table.total
        nll = _column(columns, 'nll', (size,), np.float64)
        brier = _column(columns, 'brier', (size,), np.float64)
        # Of a pixel it is at most 16.2, since p is clamped.
        fits = (nll >= 0) & (nll <= 17 * pixels) & (brier >= 0) & (brier <= pixels)
        if not fits.all():
            raise ValueError('nll or brier of the image table are out of range')

        band_sums = masks = checksums = None
        if 'bands' in columns:
            if tuple(columns['bands']['edges']) != BORDER_EDGES:
                raise ValueError('the bands of the image table have other edges')
            shape = (size, len(BORDERS), NUM_BANDS, 3)
            band_sums = _column(columns['bands'], 'sums', shape, np.int64)
        if 'masks' in columns:
            masks = MaskTable.from_json(columns['masks'], pixels)
        if 'checksums' in columns:
            checksums = _column(columns, 'checksums', (size,), np.int64)

        images = cls(names, table, nll, brier, band_sums, masks, checksums)
        if images.bands is not None:
            _check_counts(images.bands)
        return images


def _check_counts(table: BinTable) -> None:
    """Refuse sums that cannot have been counted."""
    fits = (table.correct >= 0) & (table.correct <= table.count)
    fits &= (table.conf >= 0) & (table.conf <= table.count)
    if not fits.all():
        raise ValueError(
            'sums of the image table cannot have been counted: 0 <= correct <= count '
            'and 0 <= conf <= count must hold'
        )


def _column(
    columns: dict[str, Any], key: str, shape: tuple[int, ...], kind: type
) -> np.ndarray:
    """Read a column of a file: an array of ``shape`` of integers or numbers."""
    kinds = 'iu' if kind is np.int64 else 'iuf'
    try:
        array = np.array(columns[key]).reshape(shape)
        fits = not array.size or array.dtype.kind in kinds
    except (TypeError, ValueError):  # rows of several lengths, or of other things
        fits = False
    if not fits:
        what = 'integers' if kind is np.int64 else 'numbers'
        size = ' x '.join(map(str, shape))
        raise ValueError(f'{key} of the image table must be {size} {what}')
    return array.astype(kind)
