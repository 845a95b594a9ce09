"""Measuring a folder of maps against a folder of masks."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..common.arguments import check_choice
from ..common.arrays import PROTOCOLS, apply_protocol
from ..files.map_pairs import MapFiles, count_files, pair_files, read_pair
from ..files.names import display_name
from ..files.prob_maps import MapReader
from ..metrics.band_table import BandTable
from ..metrics.errors import average_precision, roc_auc
from ..metrics.histogram import CalibrationHistogram
from ..metrics.image_table import ImageRow, ImageTable
from ..metrics.objects import mask_scores
from .result import Result, calibration_result, mask_checksum

# An empty mask has no object, so these are undefined there.
NEED_FOREGROUND = ('adp_f', 'f_curve', 'weighted_f')
# What tables show of them.
SOD_COLUMNS = ('mae', 'max_f', 'weighted_f', 'max_e', 's', 'ap', 'auc')


def load_library() -> ModuleType:
    """Import PySODMetrics."""
    try:
        import py_sod_metrics
    except ImportError as error:
        raise ImportError(
            'salient-object measures need PySODMetrics, which is not installed: run '
            '`pip install "mmaslp[sod]"`'
        ) from error
    return py_sod_metrics


def sod_record(prob: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    """Measure one image."""
    library = load_library()
    if not np.isin(mask, (0, 1)).all():
        raise ValueError(
            'salient-object measures look at whole images: they cannot leave ignored '
            f'pixels out, but the mask holds {np.unique(mask).tolist()}'
        )

    handler = library.FmeasureHandler(beta=0.3, with_adaptive=True, with_dynamic=True)
    measures = (
        library.MAE(),
        library.Smeasure(),
        library.Emeasure(),
        library.WeightedFmeasure(),
        library.FmeasureV2({'fm': handler}),
    )
    prob = _snapped(np.clip(prob, 0, 1).astype(np.float64))
    mask = mask.astype(bool)
    found = {}
    for measure in measures:
        measure.step(prob, mask, normalize=False)
        found.update(measure.get_results())

    record = {
        'mae': float(found['mae']),
        's': float(found['sm']),
        'weighted_f': float(found['wfm']),
        'adp_f': float(found['fm']['adaptive']),
        'f_curve': np.asarray(found['fm']['dynamic'], dtype=np.float64),
        'adp_e': float(found['em']['adp']),
        'e_curve': np.asarray(found['em']['curve'], dtype=np.float64),
    }
    if not mask.any():
        record.update({key: record[key] * np.nan for key in NEED_FOREGROUND})
    if mask.size < 2:  # the library divides by the number of pixels minus one
        record.update({key: record[key] * np.nan for key in ('adp_e', 'e_curve')})
    return record


def _snapped(prob: np.ndarray) -> np.ndarray:
    """Set values within rounding of k / 255 to it: the library truncates them."""
    value = np.rint(prob * 255)
    return np.where(np.abs(prob * 255 - value) < 1e-4, value / 255, prob)


def sod_metrics(
    records: Sequence[dict[str, Any]], histogram: CalibrationHistogram
) -> dict[str, float]:
    """Average the records as the field does: curves first, then their maximum.

    AP and AUC are pooled over all pixels, of the histogram.
    """
    scores = histogram.score_table('positive')

    def mean(key: str) -> Any:
        rows = [record[key] for record in records if not np.isnan(record[key]).any()]
        return np.mean(rows, axis=0) if rows else np.nan

    f_curve = mean('f_curve')
    e_curve = mean('e_curve')
    return {
        'mae': float(mean('mae')),
        'max_f': float(np.max(f_curve)),
        'mean_f': float(np.mean(f_curve)),
        'adp_f': float(mean('adp_f')),
        'weighted_f': float(mean('weighted_f')),
        'max_e': float(np.max(e_curve)),
        'mean_e': float(np.mean(e_curve)),
        'adp_e': float(mean('adp_e')),
        's': float(mean('s')),
        'ap': average_precision(scores),
        'auc': roc_auc(scores),
    }


# Folders whose name says that they hold masks, and not of what.
_MASKS = re.compile('(gts?|masks?|labels?|ground_?truths?|annotations?)', re.IGNORECASE)


class _Measure:
    """Histogram of all pixels, and one small row for each image."""

    def __init__(self, bins: int, protocol: str, sod: bool) -> None:
        self.bins = bins
        self.protocol = protocol
        self.sod = sod
        self.total = CalibrationHistogram()
        self.rows: list[ImageRow] = []
        self.sod_records: list[Any] = []

    def add(self, name: str, key: int, prob: np.ndarray, label: np.ndarray) -> None:
        prob = apply_protocol(prob, self.protocol)
        image = CalibrationHistogram()
        bands = BandTable()
        image.update(prob, label)
        bands.update(prob[None], label[None])
        self.total.merge(image)

        row = ImageRow.of(
            name,
            image,
            self.bins,
            bands=bands,
            mask=mask_checksum(label),
            scores=mask_scores(prob, label),
        )
        self.rows.append(row)
        if self.sod:
            self.sod_records.append(sod_record(prob, label))

    def merge(self, other: '_Measure') -> None:
        self.total.merge(other.total)
        self.rows += other.rows
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
    found = count_files(
        MapFiles.of(pred_dir, gt_dir),
        partial(_Measure, bins, protocol, sod),
        reader,
        workers=workers,
        what=f'measuring {display_name(pred_dir)}',
    )

    result = calibration_result(
        found.total,
        ImageTable.of_rows(found.rows, bins),
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
    if not sod:
        return result
    return replace(result, measures=sod_metrics(found.sod_records, found.total))


def set_name(gt_dir: str | Path) -> str:
    """Name a set by its folder of masks; by the one above if that just says masks."""
    folder = Path(gt_dir).resolve()
    named = [parent.name for parent in (folder, *folder.parents) if parent.name]
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
    reader = reader or MapReader()
    images = {}
    for stem in stems:
        if stem not in pairs:
            raise ValueError(f'{stem}: neither {pred_dir} nor {gt_dir} may change')
        prob, label = read_pair(reader, *pairs[stem])
        prob = np.asarray(apply_protocol(prob, protocol))
        if prob.ndim == 3:
            place = _worst_slice(prob, label)
            prob = prob[place]
            label = label[place]
        images[stem] = {'prob': prob, 'label': label.astype(np.uint8)}
    return images


def _worst_slice(prob: np.ndarray, label: np.ndarray) -> int:
    """The slice ``(D, ...)`` of the largest summed error."""
    error = np.where(label <= 1, np.abs(prob - label), 0)
    return int(error.reshape(len(error), -1).sum(1).argmax())
