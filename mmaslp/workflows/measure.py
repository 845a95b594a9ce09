"""Measuring a folder of maps against a folder of masks."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from ..common.arguments import check_choice
from ..common.arrays import apply_protocol
from ..common.options import PROTOCOLS, RESAMPLES
from ..evaluation.evaluator import Evaluator
from ..evaluation.result import CALIBRATED, Result
from ..files.images import is_calibrated
from ..files.map_pairs import MapFiles
from ..files.names import display_name
from ..files.nnunet_maps import IGNORED
from ..files.prob_maps import USUAL, MapReader
from ..files.stored_maps import StoredMap
from .count import count_files

# Folders whose name says that they hold masks, and not of what.
_MASKS = re.compile('(gts?|masks?|labels?|ground_?truths?|annotations?)', re.IGNORECASE)


def _add(
    protocol: str,
    evaluator: Evaluator,
    name: str,
    stored: StoredMap,
    prob: np.ndarray,
    label: np.ndarray,
) -> None:
    prob = apply_protocol(prob, protocol, label != IGNORED)
    evaluator.add(name, prob, label)


def evaluate_maps(
    pred_dir: str | Path,
    gt_dir: str | Path,
    *,
    bins: int = 10,
    protocol: str = 'raw',
    resamples: int = RESAMPLES,
    reader: MapReader = USUAL,
    workers: int | None = 1,
    model: str | None = None,
    groups: Callable[[Sequence[str]], Sequence[int]] | None = None,
) -> Result:
    """Measure every map of a folder against the mask of its name.

    ``protocol`` is 'raw' or 'released'; for ``reader`` and ``workers`` see
    :func:`~mmaslp.workflows.count.count_files`. The model's name is by default that of
    the folder of maps. ``groups`` numbers images by the group of each, such as
    a patient, from their names; intervals are over groups then.

    Raises:
        ValueError: A folder or file is not usable; the message lists all problems.
    """
    check_choice('protocol', protocol, PROTOCOLS)
    files = MapFiles.of(pred_dir, gt_dir)
    counted = count_files(
        files,
        partial(Evaluator, bins),
        partial(_add, protocol),
        reader,
        workers=workers,
        what=f'measuring {display_name(pred_dir)}',
        calibrated=True,
    )

    settings = {
        'protocol': protocol,
        'max_value': reader.max_value,
        'pred_dir': str(pred_dir),
        'gt_dir': str(gt_dir),
    }
    if all(is_calibrated(path) for path, _ in files.pairs.values()):
        settings['calibrator'] = 'given'
    numbers = None
    if groups is not None:
        numbers = groups(counted.names)
    return counted.result(
        model or os.path.basename(os.path.realpath(pred_dir)),
        set_name(gt_dir),
        resamples=resamples,
        settings=settings,
        groups=numbers,
    )


def name_calibrated(results: Sequence[Result]) -> list[Result]:
    """Name calibrated maps by raw ones of the same masks: they are of one network."""
    areas = [_areas(row) for row in results]
    networks = {}
    for area, row in zip(areas, results):
        if area and not row.is_calibrated:
            networks[area] = row.model

    named = []
    for area, row in zip(areas, results):
        if row.is_calibrated and area in networks and areas.count(area) == 2:
            row = replace(row, model=f'{networks[area]}{CALIBRATED}')
        named.append(row)
    return named


def _areas(result: Result) -> bytes:
    """Areas of all masks, which a calibrator keeps; nothing where all are empty."""
    masks = result.images.masks
    if masks is None or not masks.predicted.any():
        return b''
    return masks.predicted.tobytes()


def set_name(gt_dir: str | Path) -> str:
    """Name a set by its folder of masks; by the one above if that just says masks."""
    folder = Path(os.path.realpath(gt_dir))
    for place in (folder, *folder.parents):
        if place.name and not _MASKS.fullmatch(place.name):
            return place.name
    return folder.name
