"""Measuring a folder of maps against a folder of masks."""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..common.arguments import check_choice
from ..common.arrays import PROTOCOLS, apply_protocol
from ..files.map_pairs import MapFiles, count_files
from ..files.names import display_name
from ..files.prob_maps import MapReader
from .evaluator import Evaluator
from .result import Result
from .sod import load_library, sod_metrics, sod_record

# Folders whose name says that they hold masks, and not of what.
_MASKS = re.compile('(gts?|masks?|labels?|ground_?truths?|annotations?)', re.IGNORECASE)


class _MapEvaluator:
    """An evaluator of the maps of :func:`~mmaslp.files.map_pairs.count_pairs`."""

    def __init__(self, bins: int, protocol: str, sod: bool) -> None:
        self.evaluator = Evaluator(bins)
        self.protocol = protocol
        self.sod = sod
        self.sod_records: list[Any] = []

    def add(self, name: str, key: int, prob: np.ndarray, label: np.ndarray) -> None:
        prob = apply_protocol(prob, self.protocol)
        self.evaluator.add(name, prob, label)
        if self.sod:
            self.sod_records.append(sod_record(prob, label))

    def merge(self, other: '_MapEvaluator') -> None:
        self.evaluator.merge(other.evaluator)
        self.sod_records += other.sod_records


def evaluate_maps(
    pred_dir: str | Path,
    gt_dir: str | Path,
    *,
    bins: int = 10,
    protocol: str = 'raw',
    sod: bool = False,
    resamples: int = 1000,
    reader: MapReader | None = None,
    workers: int | None = 1,
    model: str | None = None,
) -> Result:
    """Measure every map of a folder against the mask of its name.

    ``protocol`` is 'raw' or 'released', ``sod`` adds the salient-object measures, for
    ``reader`` and ``workers`` see :func:`~mmaslp.files.map_pairs.count_files`. The
    model's name is by default that of the folder of maps.

    Returns:
        Result: With the SOD measures as ``measures``.

    Raises:
        ValueError: A folder or file is not usable; the message lists all problems.
        ImportError: ``sod`` without PySODMetrics.
    """
    check_choice('protocol', protocol, PROTOCOLS)
    if sod:
        load_library()
    counted = count_files(
        MapFiles.of(pred_dir, gt_dir),
        partial(_MapEvaluator, bins, protocol, sod),
        reader,
        workers=workers,
        what=f'measuring {display_name(pred_dir)}',
    )

    result = counted.evaluator.result(
        model or Path(pred_dir).resolve().name,
        set_name(gt_dir),
        resamples=resamples,
        settings={
            'protocol': protocol,
            'max_value': reader.max_value if reader else None,
            'pred_dir': str(pred_dir),
            'gt_dir': str(gt_dir),
        },
    )
    if not sod:
        return result
    histogram = counted.evaluator.raw.histogram
    return replace(result, measures=sod_metrics(counted.sod_records, histogram))


def set_name(gt_dir: str | Path) -> str:
    """Name a set by its folder of masks; by the one above if that just says masks."""
    folder = Path(gt_dir).resolve()
    named = [parent.name for parent in (folder, *folder.parents) if parent.name]
    return next((name for name in named if not _MASKS.fullmatch(name)), folder.name)
