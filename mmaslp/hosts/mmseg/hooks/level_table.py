"""The table of images and levels as a file."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ....files.atomic_write import atomic_write

__all__ = ['write_level_table']


def write_level_table(path: str | Path, ids: Sequence[str], levels: np.ndarray) -> None:
    """Write images and their levels as CSV, lowest level first."""
    order = np.argsort(levels, kind='stable')
    table = io.StringIO(newline='')
    writer = csv.writer(table)
    writer.writerow(['img_path', 'alpha'])
    writer.writerows((ids[i], f'{levels[i]:.8f}') for i in order)
    # File names may not be UTF-8; Python passes such bytes on as surrogates.
    atomic_write(path, table.getvalue().encode(errors='surrogateescape'))
