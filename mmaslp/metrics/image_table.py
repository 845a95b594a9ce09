"""The sums of every image: what figures per image and the bootstrap need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..common.bands import BORDER_EDGES
from .band_table import BandTable
from .bins import BinTable, equal_width, ratio
from .catalogue import binned_metrics
from .errors import brier_score
from .histogram import CalibrationHistogram
from .objects import MaskScores, MaskTable


@dataclass(frozen=True)
class ImageRow:
    """The sums of one image, which processes can send each other.

    Attributes:
        name (str): Of the image.
        table (BinTable): ``(bins,)`` sums per bin of equal width.
        nll (float): Sum over the pixels; also ``brier``.
        bands (np.ndarray | None): ``(42,)`` int64, :attr:`BandTable.totals`. None in
            positive mode and with more than two classes.
        foreground (int | None): Number of pixels whose label is 1. None with more than
            two classes.
        predicted (int | None): Number of pixels with p > 0.5. None also in positive
            mode.
        mask (int | None): Checksum of the labels, which tells whether two results were
            measured with the same masks.
        scores (MaskScores | None): What was said of the mask and its objects. None also
            in positive mode.
    """

    name: str
    table: BinTable
    nll: float
    brier: float
    bands: np.ndarray | None = None
    foreground: int | None = None
    predicted: int | None = None
    mask: int | None = None
    scores: MaskScores | None = None

    @classmethod
    def of(
        cls,
        name: str,
        histogram: CalibrationHistogram,
        bins: int = 10,
        mode: str = 'top_label',
        bands: BandTable | None = None,
        mask: int | None = None,
        scores: MaskScores | None = None,
    ) -> ImageRow:
        """Make the row of an image from its own counts."""
        pixels = histogram.score_table(mode)
        return cls(
            name=name,
            table=equal_width(pixels, bins),
            nll=int(histogram.nll) / histogram.NLL_UNIT,
            brier=brier_score(pixels) * pixels.total if pixels.total else 0.0,
            bands=None if bands is None else bands.totals.cpu().numpy(),
            foreground=histogram.foreground,
            predicted=histogram.predicted if mode == 'top_label' else None,
            mask=mask,
            scores=scores,
        )


@dataclass(frozen=True, eq=False)
class ImageTable:
    """The sums of I images; those of all rows give the pooled figures again.

    Attributes:
        names (list[str]): Of the images.
        table (BinTable): ``(I, bins)`` sums per bin of equal width.
        nll (np.ndarray): ``(I,)`` sums; also ``brier``.
        band_sums (np.ndarray | None): ``(I, 2, 5, 3)`` int64, :attr:`BandTable.sums`.
            None if a row has none.
        foreground (np.ndarray | None): ``(I,)``, see :class:`ImageRow`; also
            ``predicted`` and ``masks``. None if a row has none.
        scores (MaskTable | None): What was said of masks and objects, likewise.

    Raises:
        ValueError: A name is not a text, or parts do not hold the same pixels.
    """

    names: list[str]
    table: BinTable
    nll: np.ndarray
    brier: np.ndarray
    band_sums: np.ndarray | None = None
    foreground: np.ndarray | None = None
    predicted: np.ndarray | None = None
    masks: np.ndarray | None = None
    scores: MaskTable | None = None

    def __post_init__(self) -> None:
        if not all(isinstance(name, str) for name in self.names):
            raise ValueError('a name of the image table is not a text')
        pixels = self.num_pixels
        if (
            self.foreground is not None
            and not ((self.foreground >= 0) & (self.foreground <= pixels)).all()
        ):
            raise ValueError('an image has more foreground than pixels')

        if self.bands is not None:
            odd = np.flatnonzero((self.bands.total != pixels[:, None]).any(1))
            if len(odd):
                raise ValueError(
                    f'{self.names[odd[0]]}: its bands and its bins hold other numbers '
                    'of pixels: update both with the same image'
                )

    @classmethod
    def of_rows(cls, rows: Sequence[ImageRow], bins: int = 10) -> ImageTable:
        """Stack rows, whose tables have so many ``bins``."""

        def stacked(values: Sequence[Any], shape: tuple[int, ...], kind: type) -> Any:
            if any(value is None for value in values):
                return None
            return np.array(values, kind).reshape(len(rows), *shape)

        sums = BandTable().sums
        totals = stacked([row.bands for row in rows], (-1,) if rows else (0,), np.int64)
        tables = [row.table for row in rows]
        scores = [row.scores for row in rows if row.scores is not None]
        return cls(
            names=[row.name for row in rows],
            table=BinTable(
                stacked([table.count for table in tables], (bins,), np.int64),
                stacked([table.correct for table in tables], (bins,), np.int64),
                stacked([table.conf for table in tables], (bins,), np.float64),
            ),
            nll=stacked([row.nll for row in rows], (), np.float64),
            brier=stacked([row.brier for row in rows], (), np.float64),
            band_sums=None
            if totals is None
            else totals[:, : sums.numel()].reshape(-1, *sums.shape),
            foreground=stacked([row.foreground for row in rows], (), np.int64),
            predicted=stacked([row.predicted for row in rows], (), np.int64),
            masks=stacked([row.mask for row in rows], (), np.int64),
            scores=MaskTable.of(scores) if len(scores) == len(rows) else None,
        )

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
        """Return the table of some images, in the given order."""
        rows = np.asarray(rows, np.int64)
        parts = {
            key: getattr(self, key)[rows]
            for key in ('nll', 'brier', *_OPTIONAL)
            if getattr(self, key) is not None
        }
        if self.scores is not None:
            parts['scores'] = self.scores.take(rows)
        names = [self.names[row] for row in rows]
        return replace(self, names=names, table=self.table.take(rows), **parts)

    def to_json(self) -> dict[str, Any]:
        """Return the table by columns, as JSON can hold it."""
        columns: dict[str, Any] = {
            'names': self.names,
            'count': self.table.count.tolist(),
            'right': self.table.correct.tolist(),
            'conf': self.table.conf.tolist(),
            'nll': self.nll.tolist(),
            'brier': self.brier.tolist(),
        }

        for key in ('foreground', 'predicted', 'masks'):
            if getattr(self, key) is not None:
                columns[key] = getattr(self, key).tolist()
        if self.scores is not None:
            columns['scores'] = self.scores.to_json()
        if self.band_sums is not None:
            columns['bands'] = {
                'edges': list(BORDER_EDGES),
                'sums': self.band_sums.tolist(),
            }
        return columns

    @classmethod
    def from_json(cls, columns: dict[str, Any], bins: int) -> ImageTable:
        """Rebuild a table of :meth:`to_json`; ValueError if its columns do not fit."""
        lacking = [key for key in _REQUIRED if key not in columns]
        if lacking:
            raise ValueError(f'the image table lacks {lacking[0]}')
        names = list(columns['names'])
        bands = columns.get('bands')
        if bands and tuple(bands['edges']) != BORDER_EDGES:
            raise ValueError('the bands of the image table have other edges')

        def column(key: str, *shape: int, kind: type = np.int64) -> np.ndarray:
            values = bands['sums'] if key == 'bands' and bands else columns[key]
            return _column(key, values, (len(names), *shape), kind)

        known: dict[str, Any] = {
            key: column(key) for key in _OPTIONAL if key in columns
        }
        if bands:
            known['band_sums'] = column('bands', *BandTable().sums.shape)
        if 'scores' in columns:
            known['scores'] = MaskTable.from_json(columns['scores'], len(names))
        return cls(
            names=names,
            table=BinTable(
                column('count', bins),
                column('right', bins),
                column('conf', bins, kind=np.float64),
            ),
            nll=column('nll', kind=np.float64),
            brier=column('brier', kind=np.float64),
            **known,
        )


# Columns of a file that every table has.
_REQUIRED = ('names', 'count', 'right', 'conf', 'nll', 'brier')
_OPTIONAL = ('band_sums', 'foreground', 'predicted', 'masks')


def _column(key: str, values: Any, shape: tuple[int, ...], kind: type) -> np.ndarray:
    """Read a column of a file: an array of ``shape`` of integers or numbers."""
    if len(values) != shape[0]:
        raise ValueError('the columns of the image table differ in length')
    try:
        found = np.array(values or np.zeros(shape, kind))
    except ValueError:  # rows of several lengths
        found = np.array('')

    kinds = 'iu' if kind is np.int64 else 'iuf'
    if found.shape != shape or found.dtype.kind not in kinds:
        what = 'integers' if kind is np.int64 else 'numbers'
        size = ' x '.join(map(str, shape[1:] or (1,)))
        raise ValueError(f'{key} of the image table must be {size} {what} a row')
    return found.astype(kind)
