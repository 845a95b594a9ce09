"""One small row per image: what per-image figures and the bootstrap need."""

import numpy as np

from .bin_table import BinTable
from .binned_metrics import binned_figures
from .binning import equal_width
from .fine_bins import NarrowBins, narrow_per_bin, pack
from .score_metrics import brier_score

SCHEMA = ('names', 'count', 'right', 'conf', 'nll', 'brier')


class ImageTable:
    """Per-image sums per equal-width bin.

    Its size depends on the number of images and bins, not of pixels; adding up all rows
    gives the pooled figures again.

    Args:
        records (Sequence[dict]): Rows as :meth:`record` makes them.
        bins (int): Number of bins. Defaults to 10.

    Attributes:
        narrow (NarrowBins | None): A finer division of the same bins. None if a row
            has none, as those of older result files.

    Raises:
        ValueError: A row has another number of bins.
    """

    def __init__(self, records, bins=10):
        self.names = [record['name'] for record in records]
        sums = []
        for key, dtype in (('count', np.int64), ('right', np.int64), ('conf', float)):
            rows = [record[key] for record in records]
            if any(len(row) != bins for row in rows):
                raise ValueError(f'a row of the image table has not {bins} bins')
            sums.append(np.array(rows, dtype=dtype).reshape(-1, bins))
        self.table = BinTable(*sums)
        self.nll = np.array([record['nll'] for record in records], dtype=float)
        self.brier = np.array([record['brier'] for record in records], dtype=float)
        narrow = [record.get('narrow') for record in records]
        self.narrow = None
        if all(image is not None for image in narrow):
            self.narrow = NarrowBins(narrow, bins * narrow_per_bin(bins))

    def __len__(self):
        return len(self.names)

    @staticmethod
    def record(name, histogram, bins=10, mode='top_label'):
        """Make the row of one image.

        Args:
            name (str): Identity of the image, such as its path.
            histogram (CalibrationHistogram): Of this image alone.
            bins (int): Number of equal-width bins. Defaults to 10.
            mode (str): 'top_label' or 'positive'. Defaults to 'top_label'.

        Returns:
            dict: ``name``; per bin ``count``, ``right`` and summed ``conf``;
            ``narrow``, see :func:`~.narrow_bins.pack`; and the sums of ``nll`` and
            ``brier``.
        """
        levels = histogram.levels(mode)
        parts = narrow_per_bin(bins)
        narrow = equal_width(levels, bins * parts)
        table = narrow.joined(parts)
        count = levels.total
        return {
            'name': name,
            'count': table.count.tolist(),
            'right': table.right.tolist(),
            'conf': table.conf.tolist(),
            'narrow': pack(narrow),
            'nll': int(histogram.nll) / histogram.NLL_UNIT,
            'brier': brier_score(levels) * count if count else 0.0,
        }

    @property
    def num_pixels(self):
        """(I,) number of valid pixels per image."""
        return self.table.total

    def per_image(self):
        """Figures of every image on its own.

        Returns:
            dict[str, np.ndarray]: (I,) each of ``ece``, ``oe``, ``ue``, ``mce``,
            ``ace``, ``acc``, ``conf``; nan for images without valid pixels.
        """
        return binned_figures(self.table)

    def mean_ece(self):
        """Mean of the per-image ECE over the images with valid pixels, else nan."""
        ece = self.per_image()['ece']
        ece = ece[~np.isnan(ece)]
        return float(ece.mean()) if len(ece) else float('nan')

    def to_json(self):
        """Return the table by columns, as JSON can hold it."""
        columns = {
            'names': self.names,
            'count': self.table.count.tolist(),
            'right': self.table.right.tolist(),
            'conf': self.table.conf.tolist(),
            'nll': self.nll.tolist(),
            'brier': self.brier.tolist(),
        }
        figures = self.per_image()
        for key in ('ece', 'oe', 'acc'):
            columns[f'image_{key}'] = [
                None if np.isnan(value) else float(value) for value in figures[key]
            ]
        if self.narrow is not None:
            columns['narrow'] = self.narrow.to_json()
        return columns

    @classmethod
    def from_json(cls, columns, bins):
        """Rebuild a table from its columns.

        Args:
            columns (dict): As :meth:`to_json` returned it; files of earlier versions
                lack ``narrow``.
            bins (int): Number of bins.

        Raises:
            ValueError: A column is missing, has another length or does not fit the
                others.
        """
        missing = set(SCHEMA) - set(columns)
        if missing:
            raise ValueError(f'the image table lacks the columns {sorted(missing)}')
        if len({len(columns[key]) for key in SCHEMA}) != 1:
            raise ValueError('the columns of the image table differ in length')
        keys = ('name', *SCHEMA[1:])
        rows = zip(*(columns[key] for key in SCHEMA))
        table = cls([dict(zip(keys, row)) for row in rows], bins)
        if 'narrow' in columns:
            table.narrow = NarrowBins.from_json(columns['narrow'])
            if not np.array_equal(table.narrow.num_pixels, table.num_pixels):
                raise ValueError('the narrow bins of the image table miss pixels')
        return table

    def take(self, rows):
        """Return the table of some rows, in the given order."""
        chosen = object.__new__(ImageTable)
        chosen.names = [self.names[row] for row in rows]
        chosen.table = self.table.take(rows)
        chosen.narrow = self.narrow and self.narrow.take(rows)
        chosen.nll, chosen.brier = self.nll[rows], self.brier[rows]
        return chosen
