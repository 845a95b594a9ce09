"""One small row per image: what per-image metrics and the bootstrap need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .band_table import BandTable
from .bin_table import BinTable
from .binned_metrics import binned_metrics
from .binning import equal_width
from .fine_bins import FineBins, fine_per_bin, pack
from .histogram import CalibrationHistogram
from .image_bands import ImageBands
from .score_metrics import brier_score

__all__ = ['ImageTable']

# Columns of result files; records use the same names.
SCHEMA = ('names', 'count', 'right', 'conf', 'nll', 'brier')


class ImageTable:
    """Per-image sums per equal-width bin.

    Its size depends on the number of images and bins, not on the number of pixels. The
    sum of all rows gives the pooled metrics again.

    Args:
        records (Sequence[dict]): Rows as :meth:`record` makes them.
        bins (int): Number of bins. Defaults to 10.

    Attributes:
        fine (FineBins | None): A finer division of the same bins. None if a row
            has none, as those of older result files.
        bands (ImageBands | None): Sums per band of distance from a border. None if
            a row has none: there are none in positive mode and with more classes, and
            older result files lack them.
        foreground (np.ndarray | None): ``(I,)`` number of pixels whose label is 1. None
            if a row has none: with more than two classes.
        masks (np.ndarray | None): ``(I,)`` checksums of the labels, which tell whether
            two results were measured with the same masks. None if a row has none.

    Raises:
        ValueError: A row has another number of bins, or bands of other edges.
    """

    def __init__(self, records: Sequence[dict[str, Any]], bins: int = 10) -> None:
        self.names: list[str] = [record['name'] for record in records]
        sums = []
        for key, dtype in (('count', np.int64), ('right', np.int64), ('conf', float)):
            rows = [record[key] for record in records]
            if any(len(row) != bins for row in rows):
                raise ValueError(f'a row of the image table has not {bins} bins')
            sums.append(np.array(rows, dtype=dtype).reshape(-1, bins))
        self.table = BinTable(*sums)
        self.nll = np.array([record['nll'] for record in records], dtype=float)
        self.brier = np.array([record['brier'] for record in records], dtype=float)
        self.fine: FineBins | None = None
        if all(record.get('narrow') is not None for record in records):
            images = [record['narrow'] for record in records]
            self.fine = FineBins(images, bins * fine_per_bin(bins))
        self.bands: ImageBands | None = None
        if all(record.get('bands') is not None for record in records):
            rows = [record['bands'] for record in records]
            self.bands = ImageBands.from_rows(rows)
        self.foreground: np.ndarray | None = None
        if all(record.get('foreground') is not None for record in records):
            sizes = [record['foreground'] for record in records]
            self.foreground = np.array(sizes, dtype=np.int64)
            if ((self.foreground < 0) | (self.foreground > self.num_pixels)).any():
                raise ValueError('an image has more foreground than pixels')
        self.masks: np.ndarray | None = None
        if all(record.get('mask') is not None for record in records):
            masks = [record['mask'] for record in records]
            self.masks = np.array(masks, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.names)

    @staticmethod
    def record(
        name: str,
        histogram: CalibrationHistogram,
        bins: int = 10,
        mode: str = 'top_label',
        bands: BandTable | None = None,
        mask: int | None = None,
    ) -> dict[str, Any]:
        """Make the row of one image.

        Args:
            name (str): Identity of the image, such as its path.
            histogram (CalibrationHistogram): Of this image alone.
            bins (int): Number of equal-width bins. Defaults to 10.
            mode (str): 'top_label' or 'positive'. Defaults to 'top_label'.
            bands (BandTable, optional): Of this image alone. Defaults to None:
                calibration by band is not measured.
            mask (int, optional): Checksum of the labels. Defaults to None.

        Returns:
            dict: ``name``; per bin ``count``, number of correct pixels ``right`` and
            summed ``conf``; the fine bins ``narrow``, see :func:`~.fine_bins.pack`;
            ``bands``, None or :meth:`ImageBands.row`; ``foreground``, the number of
            pixels whose label is 1, or None; ``mask``; and the sums of ``nll`` and
            ``brier``. Its
            keys are those of result files.

        Raises:
            ValueError: Histogram and bands hold different numbers of pixels.
        """
        scores = histogram.score_table(mode)
        parts = fine_per_bin(bins)
        fine = equal_width(scores, bins * parts)
        table = fine.joined(parts)
        count = scores.total
        if bands is not None and bands.count != count:
            raise ValueError(
                f'{name}: the bands hold {bands.count} pixels, the histogram '
                f'{count}: update both with the same image'
            )
        return {
            'name': name,
            'count': table.count.tolist(),
            'right': table.correct.tolist(),
            'conf': table.conf.tolist(),
            'narrow': pack(fine),
            'bands': None if bands is None else ImageBands.row(bands),
            'foreground': histogram.foreground,
            'mask': mask,
            'nll': int(histogram.nll) / histogram.NLL_UNIT,
            'brier': brier_score(scores) * count if count else 0.0,
        }

    @property
    def num_pixels(self) -> np.ndarray:
        """``(I,)`` number of valid pixels per image."""
        return self.table.total

    def per_image(self) -> dict[str, np.ndarray]:
        """Metrics of every image on its own.

        Returns:
            dict[str, np.ndarray]: ``(I,)`` each of ``ece``, ``oe``, ``ue``, ``mce``,
            ``ace``, ``acc``, ``conf``; nan for images without valid pixels.
        """
        return binned_metrics(self.table)

    def mean_ece(self) -> float:
        """Mean of the per-image ECE over the images with valid pixels, else nan."""
        ece = self.per_image()['ece']
        ece = ece[~np.isnan(ece)]
        return float(ece.mean()) if len(ece) else float('nan')

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
        metrics = self.per_image()
        for key in ('ece', 'oe', 'acc'):
            columns[f'image_{key}'] = [
                None if np.isnan(value) else float(value) for value in metrics[key]
            ]
        if self.fine is not None:
            columns['narrow'] = self.fine.to_json()
        if self.bands is not None:
            columns['bands'] = self.bands.to_json()
        if self.foreground is not None:
            columns['foreground'] = self.foreground.tolist()
        if self.masks is not None:
            columns['masks'] = self.masks.tolist()
        return columns

    @classmethod
    def from_json(cls, columns: dict[str, Any], bins: int) -> ImageTable:
        """Rebuild a table from its columns.

        Args:
            columns (dict): As :meth:`to_json` returned it; files of earlier versions
                lack ``narrow``, ``bands`` and ``foreground``.
            bins (int): Number of bins.

        Raises:
            ValueError: A column is missing, has another length or does not fit the
                others.
        """
        missing = set(SCHEMA) - set(columns)
        if missing:
            raise ValueError(f'the image table lacks the columns {sorted(missing)}')
        given = [*SCHEMA, *(key for key in ('foreground', 'masks') if key in columns)]
        if len({len(columns[key]) for key in given}) != 1:
            raise ValueError('the columns of the image table differ in length')
        _check_integers(columns)
        singular = {'names': 'name', 'masks': 'mask'}
        keys = [singular.get(key, key) for key in given]
        rows = zip(*(columns[key] for key in given))
        table = cls([dict(zip(keys, row)) for row in rows], bins)
        if 'narrow' in columns:
            table.fine = FineBins.from_json(columns['narrow'])
            sums = np.array([table.table.count, table.table.correct])
            if not np.array_equal(table.fine.coarse(bins), sums):
                raise ValueError('the fine bins of the image table are not its bins')
        table.bands = None
        if 'bands' in columns:
            table.bands = ImageBands.from_json(columns['bands'])
            if not np.array_equal(table.bands.num_pixels, table.num_pixels):
                raise ValueError('the bands of the image table miss pixels')
        return table

    def take(self, rows: Sequence[int]) -> ImageTable:
        """Return the table of some rows, in the given order."""
        chosen = object.__new__(ImageTable)
        chosen.names = [self.names[row] for row in rows]
        place = np.asarray(rows, dtype=np.int64)
        chosen.table = self.table.take(place)
        chosen.fine = None if self.fine is None else self.fine.take(rows)
        chosen.bands = None if self.bands is None else self.bands.take(rows)
        chosen.foreground = None if self.foreground is None else self.foreground[place]
        chosen.masks = None if self.masks is None else self.masks[place]
        chosen.nll, chosen.brier = self.nll[place], self.brier[place]
        return chosen


def _check_integers(columns: dict[str, Any]) -> None:
    """Refuse names that are not texts, and counts that are not integers."""
    if not all(isinstance(name, str) for name in columns['names']):
        raise ValueError('a name of the image table is not a text')
    for key in ('count', 'right'):
        values = np.asarray(columns[key])  # raises if the rows differ in length
        if values.size and not np.issubdtype(values.dtype, np.integer):
            raise ValueError(f'{key} of the image table must hold integers')
