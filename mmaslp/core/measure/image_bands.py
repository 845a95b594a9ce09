"""Sums per band of every image, for resampling the errors by band."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .band_table import BandTable
from .bin_table import BinTable

__all__ = ['ImageBands']


class ImageBands:
    """What a :class:`BandTable` holds, for every image on its own.

    Args:
        edges (Sequence[float]): Edges of the bands, see :class:`BandTable`.
        sums (Sequence | np.ndarray): ``(I, 2, B, 3)`` integers, per image
            :attr:`BandTable.sums`.

    Raises:
        ValueError: The sums do not fit the edges.
    """

    def __init__(self, edges: Sequence[float], sums: Sequence | np.ndarray) -> None:
        self.edges = tuple(edges)
        own = BandTable(self.edges).sums.shape
        shape = (-1, *own) if len(sums) else (0, *own)
        try:
            self.sums = np.array(sums, np.int64).reshape(shape)
        except ValueError as error:
            raise ValueError(f'{len(edges)} edges do not fit the bands') from error
        if len(self.sums) != len(sums):
            raise ValueError(f'{len(edges)} edges do not fit the bands')

    @staticmethod
    def row(table: BandTable) -> dict[str, Any]:
        """Take ``edges`` and ``sums`` of one image as lists."""
        return {'edges': list(table.edges), 'sums': table.sums.tolist()}

    @classmethod
    def from_rows(cls, rows: Sequence[dict[str, Any]]) -> ImageBands:
        """Join images.

        Args:
            rows (Sequence[dict]): Per image what :meth:`row` returned.

        Raises:
            ValueError: Images have bands of other edges.
        """
        edges = {tuple(row['edges']) for row in rows} or {BandTable().edges}
        if len(edges) > 1:
            raise ValueError(f'images have bands of several edges: {sorted(edges)}')
        return cls(edges.pop(), [row['sums'] for row in rows])

    @property
    def num_pixels(self) -> np.ndarray:
        """``(I,)`` number of pixels per image."""
        return self.sums[:, 0, :, 0].sum(-1)

    def pooled(self, weights: np.ndarray | None = None) -> BinTable:
        """Add up the images.

        Args:
            weights (np.ndarray, optional): ``(R, I)`` how often each resample holds
                each image. Defaults to None: every image once.

        Returns:
            BinTable: Sums of shape ``(2, B)``, or ``(R, 2, B)`` with ``weights``, by
            border and band.
        """
        if weights is None:
            sums = self.sums.sum(0)
        else:
            sums = np.tensordot(weights, self.sums.astype(np.float64), 1)
        return BinTable(sums[..., 0], sums[..., 1], sums[..., 2] / BandTable.UNIT)

    def take(self, rows: Sequence[int] | np.ndarray) -> ImageBands:
        """Return the images of some rows, in the given order."""
        return ImageBands(self.edges, self.sums[np.asarray(rows, np.int64)])

    def to_json(self) -> dict[str, Any]:
        """Return ``edges`` and, per image, ``sums``."""
        return {'edges': list(self.edges), 'sums': self.sums.tolist()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> ImageBands:
        """Rebuild the bands.

        Args:
            content (dict): As :meth:`to_json` returned it.

        Raises:
            ValueError: See :class:`ImageBands`.
        """
        try:
            sums = np.asarray(content['sums'])
        except ValueError as error:
            raise ValueError('the bands of images differ in length') from error
        if sums.size and not np.issubdtype(sums.dtype, np.integer):
            raise ValueError('the bands of an image must be integers')
        return cls(content['edges'], sums)
