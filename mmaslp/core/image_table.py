"""One small row per image: what per-image figures and the bootstrap need."""

import numpy as np

from .calibration import BinTable, binned_figures, brier_score, equal_width

SCHEMA = ('names', 'count', 'right', 'conf', 'nll', 'brier')


class ImageTable:
    """Per-image sums per equal-width bin.

    Its size depends on the number of images and bins, not of pixels; adding up all rows
    gives the pooled figures again.

    Args:
        records (Sequence[dict]): Rows as :meth:`record` makes them.
        bins (int): Number of bins. Defaults to 10.

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
            dict: ``name``; per bin ``count``, ``right`` and summed ``conf``; and
            the sums of ``nll`` and ``brier``.
        """
        levels = histogram.levels(mode)
        table = equal_width(levels, bins)
        count = levels.total
        return {
            'name': name,
            'count': table.count.tolist(),
            'right': table.right.tolist(),
            'conf': table.conf.tolist(),
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
        return columns

    @classmethod
    def from_json(cls, columns, bins):
        """Rebuild a table from its columns.

        Args:
            columns (dict): As :meth:`to_json` returned it.
            bins (int): Number of bins.

        Raises:
            ValueError: A column is missing or has another length.
        """
        missing = set(SCHEMA) - set(columns)
        if missing:
            raise ValueError(f'the image table lacks the columns {sorted(missing)}')
        if len({len(columns[key]) for key in SCHEMA}) != 1:
            raise ValueError('the columns of the image table differ in length')
        keys = ('name', *SCHEMA[1:])
        rows = zip(*(columns[key] for key in SCHEMA))
        return cls([dict(zip(keys, row)) for row in rows], bins)

    def take(self, rows):
        """Return the table of some rows, in the given order."""
        chosen = object.__new__(ImageTable)
        chosen.names = [self.names[row] for row in rows]
        chosen.table = BinTable(
            self.table.count[rows], self.table.right[rows], self.table.conf[rows]
        )
        chosen.nll, chosen.brier = self.nll[rows], self.brier[rows]
        return chosen
