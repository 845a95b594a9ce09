"""One small row per image: what per-image metrics and the bootstrap need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..common.bands import BORDER_EDGES
from .band_table import BandTable
from .bins import BinTable, equal_width, ratio
from .figures import binned_metrics, brier_score
from .histogram import CalibrationHistogram

REQUIRED = ('name', 'count', 'right', 'conf', 'nll', 'brier')
OPTIONAL = ('foreground', 'predicted', 'mask')
# Columns of result files are named as the values of a row, but for two.
PLURAL = {'name': 'names', 'mask': 'masks'}


class ImageTable:
    """Per-image sums per equal-width bin, and per band of distance from a border.

    The sum of all rows, which :meth:`record` makes, gives the pooled metrics again.

    Attributes:
        names (list[str]): Of the I images.
        table (BinTable): ``(I, bins)`` sums.
        nll (np.ndarray): ``(I,)`` sums; also ``brier``.
        bands (BinTable | None): ``(I, 2, 5)`` sums by border and band. None if a row
            has none: in positive mode and with more classes.
        foreground (np.ndarray | None): ``(I,)`` number of pixels whose label is 1. None
            if a row has none: with more than two classes.
        predicted (np.ndarray | None): ``(I,)`` number of pixels with p > 0.5. None if a
            row has none: also in positive mode.
        masks (np.ndarray | None): ``(I,)`` checksums of the labels, which tell whether
            two results were measured with the same masks. None if a row has none.

    Raises:
        ValueError: A row has another number of bins, values of another type, or parts
            that do not hold the same pixels.
    """

    def __init__(self, records: Sequence[dict[str, Any]], bins: int = 10) -> None:
        self.records = list(records)
        self.bins = bins
        self.names: list[str] = [record['name'] for record in records]
        if not all(isinstance(name, str) for name in self.names):
            raise ValueError('a name of the image table is not a text')
        count, right = (self._column(key, bins) for key in ('count', 'right'))
        self.table = BinTable(count, right, self._column('conf', bins, kind=float))
        self.nll = self._column('nll', kind=float)
        self.brier = self._column('brier', kind=float)
        self.foreground, self.predicted, self.masks = map(self._column, OPTIONAL)
        pixels = self.num_pixels
        if (
            self.foreground is not None
            and not ((self.foreground >= 0) & (self.foreground <= pixels)).all()
        ):
            raise ValueError('an image has more foreground than pixels')

        self.bands: BinTable | None = None
        sums = self._column('bands', *BandTable().sums.shape)
        if sums is not None:
            own = sums[..., 0], sums[..., 1], sums[..., 2] / BandTable.UNIT
            self.bands = BinTable(*own)
            odd = np.flatnonzero((self.bands.total != pixels[:, None]).any(1))
            if len(odd):
                raise ValueError(
                    f'{self.names[odd[0]]}: its bands and its bins hold other numbers '
                    'of pixels: update both with the same image'
                )

    def __len__(self) -> int:
        return len(self.names)

    def _column(self, key: str, *shape: int, kind: type = int) -> Any:
        """``(I, *shape)`` values of all rows; None if a row lacks an optional one."""
        rows = [record.get(key) for record in self.records]
        if any(row is None for row in rows):
            if key in REQUIRED:
                raise ValueError(f'the image table lacks {key}')
            return None

        try:
            values = np.array(rows or np.zeros((0, *shape), kind))
        except ValueError:  # rows of several lengths
            values = np.array('')

        kinds = 'iu' if kind is int else 'iuf'
        if values.shape != (len(rows), *shape) or values.dtype.kind not in kinds:
            what = 'integers' if kind is int else 'numbers'
            size = ' x '.join(map(str, shape or (1,)))
            raise ValueError(f'{key} of the image table must be {size} {what} a row')

        return values.astype(np.int64 if kind is int else np.float64)

    @staticmethod
    def record(
        name: str,
        histogram: CalibrationHistogram,
        bins: int = 10,
        mode: str = 'top_label',
        bands: BandTable | None = None,
        mask: int | None = None,
    ) -> dict[str, Any]:
        """Make the row of one image, of plain values, from its own counts.

        ``name``; per bin ``count``, number of correct pixels ``right`` and summed
        ``conf``; ``bands``, None or :attr:`BandTable.sums`; ``foreground``, the number
        of pixels whose label is 1, or None; ``predicted``, that of pixels with p > 0.5,
        or None; ``mask``, a checksum of the labels, or None; and the sums of ``nll``
        and ``brier``.
        """
        scores = histogram.score_table(mode)
        table = equal_width(scores, bins)
        return {
            'name': name,
            'count': table.count.tolist(),
            'right': table.correct.tolist(),
            'conf': table.conf.tolist(),
            'bands': None if bands is None else bands.sums.tolist(),
            'foreground': histogram.foreground,
            'predicted': histogram.predicted if mode == 'top_label' else None,
            'mask': mask,
            'nll': int(histogram.nll) / histogram.NLL_UNIT,
            'brier': brier_score(scores) * scores.total if scores.total else 0.0,
        }

    @property
    def num_pixels(self) -> np.ndarray:
        """``(I,)`` number of valid pixels per image."""
        return self.table.total

    def per_image(self) -> dict[str, np.ndarray]:
        """Binned metrics of every image on its own, ``(I,)``; nan without pixels."""
        return binned_metrics(self.table)

    def mean_ece(self) -> float:
        """Mean of the per-image ECE over the images with valid pixels, else nan."""
        ece = self.per_image()['ece']
        ece = ece[~np.isnan(ece)]
        return float(ece.mean()) if len(ece) else float('nan')

    def overlap(self, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Dice and IoU of the masks p > 0.5, pooled over images as often as they weigh.

        Empty if a row has no ``predicted``, or if no image has foreground.
        """
        if (
            self.predicted is None
            or self.foreground is None
            or not self.foreground.any()
        ):
            return {}
        weights = np.ones(len(self)) if weights is None else weights
        sizes = weights @ (self.foreground + self.predicted)
        wrong = weights @ (self.num_pixels - self.table.correct.sum(-1))
        # Both masks hold the common pixels, and one of them each wrong pixel.
        common = sizes - wrong
        return {'dice': ratio(common, sizes), 'iou': ratio(common, sizes + wrong)}

    def take(self, rows: Sequence[int] | np.ndarray) -> ImageTable:
        """Return the table of some rows, in the given order."""
        return ImageTable([self.records[row] for row in rows], self.bins)

    def to_json(self) -> dict[str, Any]:
        """Return the table by columns, as JSON can hold it."""
        known = [self._column(key) is not None for key in OPTIONAL]
        keys = [*REQUIRED, *(key for key, each in zip(OPTIONAL, known) if each)]
        columns: dict[str, Any] = {
            PLURAL.get(key, key): [record[key] for record in self.records]
            for key in keys
        }
        if self.bands is not None:
            sums = [record['bands'] for record in self.records]
            columns['bands'] = {'edges': list(BORDER_EDGES), 'sums': sums}
        return columns

    @classmethod
    def from_json(cls, columns: dict[str, Any], bins: int) -> ImageTable:
        """Rebuild a table of :meth:`to_json`; ValueError if its columns do not fit."""
        given = {
            key: columns[PLURAL.get(key, key)]
            for key in (*REQUIRED, *OPTIONAL)
            if PLURAL.get(key, key) in columns
        }
        if 'bands' in columns:
            given['bands'] = columns['bands']['sums']
            if tuple(columns['bands']['edges']) != BORDER_EDGES:
                raise ValueError('the bands of the image table have other edges')
        if len({len(column) for column in given.values()}) != 1:
            raise ValueError('the columns of the image table differ in length')
        rows = zip(*given.values())
        return cls([dict(zip(given, row)) for row in rows], bins)
