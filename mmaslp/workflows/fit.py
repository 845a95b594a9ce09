"""Counting a folder of maps for a calibrator, which is fitted to the counts."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..calibration.fitting.tables import CalibrationTables
from ..files.map_pairs import MapFiles
from ..files.prob_maps import USUAL, MapReader
from ..files.stored_maps import StoredMap
from .count import count_files, foreground_of


def count_tables(
    files: MapFiles,
    reader: MapReader = USUAL,
    keys: Callable[[Sequence[str]], Sequence[int]] | None = None,
    **options: Any,
) -> CalibrationTables:
    """Count maps for a calibrator, see :func:`~mmaslp.workflows.count.count_files`.

    ``keys`` gives the sorted names a number each, such as that of its group; by default
    0, 1, 2, ... Other options are those of ``count_files``.
    """
    names = [*files.pairs]
    numbers = dict(zip(names, range(len(names)) if keys is None else keys(names)))
    tables = count_files(
        files,
        CalibrationTables,
        partial(_add_table, numbers, reader.logits),
        reader,
        what='fitting',
        **options,
    )
    tables.foreground_name = foreground_of(files, reader)
    return tables


def _add_table(
    numbers: Mapping[str, int],
    logits: bool,
    tables: CalibrationTables,
    name: str,
    stored: StoredMap,
    prob: np.ndarray,
    label: np.ndarray,
) -> None:
    tables.update(prob, label, numbers[name], logits=logits)
