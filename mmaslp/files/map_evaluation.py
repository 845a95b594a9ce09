"""Measuring a folder of probability maps against a folder of masks."""

import re
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..core.argument_checks import check_choice
from ..core.measure import (
    BandTable,
    CalibrationHistogram,
    ImageTable,
)
from ..core.measure.protocol import PROTOCOLS, apply_protocol
from .checksum import mask_checksum
from .map_pairs import count_pairs, pair_files, read_pair
from .names import shown
from .prob_maps import MapReader, quantised
from .results import calibration_result
from .sod_measures import load_library, sod_metrics, sod_record

# Folders whose name says that they hold masks, and not of what.
_MASKS = re.compile('(gts?|masks?|labels?|ground_?truths?|annotations?)', re.IGNORECASE)


class _Measure:
    """Histogram of all pixels, and one small row for each image."""

    def __init__(self, bins: int, protocol: str, sod: bool) -> None:
        self.bins, self.protocol, self.sod = bins, protocol, sod
        self.total = CalibrationHistogram()
        self.records: list[dict[str, Any]] = []
        self.sod_records: list[Any] = []

    def add(self, name: str, key: int, prob: np.ndarray, label: np.ndarray) -> None:
        prob = apply_protocol(prob, self.protocol)
        image, bands = CalibrationHistogram(), BandTable()
        image.update(prob, label)
        bands.update(prob[None], label[None])
        self.total.merge(image)
        mask = mask_checksum(label)
        record = ImageTable.record(name, image, self.bins, bands=bands, mask=mask)
        self.records.append(record)
        if self.sod:
            self.sod_records.append(sod_record(prob, label))

    def merge(self, other: '_Measure') -> None:
        self.total.merge(other.total)
        self.records += other.records
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
) -> dict[str, Any]:
    """Measure every map of a folder against the mask of its name.

    ``protocol`` is 'raw' or 'released', ``sod`` adds the salient-object measures, for
    ``reader`` and ``workers`` see :func:`~mmaslp.files.map_pairs.count_pairs`. The
    model's name is by default that of the folder of maps.

    Returns:
        dict: The result, see :func:`~mmaslp.files.results.calibration_result`, with the
        SOD measures as ``measures``.

    Raises:
        ValueError: A folder or file is not usable; the message lists all problems.
        ImportError: ``sod`` without PySODMetrics.
    """
    check_choice('protocol', protocol, PROTOCOLS)
    if sod:
        load_library()
    found = count_pairs(
        pred_dir,
        gt_dir,
        partial(_Measure, bins, protocol, sod),
        reader,
        workers=workers,
        what=f'measuring {shown(pred_dir)}',
    )
    result = calibration_result(
        found.total,
        ImageTable(found.records, bins),
        bins=bins,
        resamples=resamples,
        settings={
            'protocol': protocol,
            'max_value': reader.max_value if reader else None,
            'pred_dir': str(pred_dir),
            'gt_dir': str(gt_dir),
        },
        model=model or Path(pred_dir).resolve().name,
        dataset=set_name(gt_dir),
    )
    if sod:
        result['measures'] = sod_metrics(found.sod_records, found.total)
    return result


def set_name(gt_dir: str | Path) -> str:
    """Name a set by its folder of masks; by the one above if that just says masks."""
    folder = Path(gt_dir).resolve()
    named = [each.name for each in (folder, *folder.parents) if each.name]
    return next((name for name in named if not _MASKS.fullmatch(name)), folder.name)


def read_images(
    pred_dir: str | Path,
    gt_dir: str | Path,
    stems: Collection[str],
    protocol: str = 'raw',
    reader: MapReader | None = None,
) -> dict[str, dict[str, np.ndarray]]:
    """Read some maps of a folder again, with their masks."""
    pairs, _ = pair_files(pred_dir, gt_dir)
    reader, images = reader or MapReader(), {}
    for stem in stems:
        if stem not in pairs:
            raise ValueError(f'{stem}: neither {pred_dir} nor {gt_dir} may change')
        prob, label = read_pair(reader, *pairs[stem])
        prob = np.asarray(apply_protocol(prob, protocol))
        if prob.ndim == 3:
            prob, label = prob[len(prob) // 2], label[len(label) // 2]
        images[stem] = {
            'prob': quantised(prob),
            'label': label.astype(np.uint8),
        }
    return images
