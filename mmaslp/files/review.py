"""Reviewing a folder of maps: what to expect of each image, and of its objects."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from ..calibration.calibrator import Calibrator
from ..calibration.estimates import ImageEstimate, ObjectTable
from ..common.outputs import write_output
from ..metrics.bins import ratio
from ..metrics.bootstrap import draw_weights, percentiles
from ..metrics.errors import binned_error
from ..metrics.objects import (
    MaskTable,
    MaskTruth,
    aurc_of,
    dice_error,
    object_auroc,
    object_nll,
)
from .map_pairs import MapFiles, count_files
from .prob_maps import MapReader

RESAMPLES = 1000


@dataclass(frozen=True)
class Reviewed:
    """An image, what to expect of it, and what is true if masks were given.

    Attributes:
        name (str): Stem of its file.
        estimate (ImageEstimate): See there.
        objects (ObjectTable): Without the map of labels.
        size (int): Number of pixels.
        confidence (float): Mean confidence of the map as shipped.
        voxel (float | None): Volume of a voxel in mm3, if a NIfTI file beside the map
            gives a spacing.
        truth (MaskTruth | None): Of its mask.
    """

    name: str
    estimate: ImageEstimate
    objects: ObjectTable
    size: int
    confidence: float
    voxel: float | None = None
    truth: MaskTruth | None = None

    @property
    def least_object(self) -> float:
        """float: Probability of its least probable object; nan without one."""
        return float(min(self.objects.probability, default=np.nan))


def review_maps(
    calibrator: Calibrator,
    maps: str | Path,
    truth: str | Path | None = None,
    *,
    reader: MapReader | None = None,
    level: float = 0.9,
    workers: int | None = 1,
) -> list[Reviewed]:
    """Review the maps of a folder, the most doubtful image first.

    Args:
        calibrator (Calibrator): One that `mmaslp fit` made.
        maps (str | Path): Folder of maps.
        truth (str | Path, optional): Folder of masks of the same names. Defaults to
            None.
        reader (MapReader, optional): How maps are read. Defaults to the usual way.
        level (float): Of the bounds, in (0, 1). Defaults to 0.9.
        workers (int, optional): Processes. None takes the backend of
            ``joblib.parallel_config``, such as Dask. Defaults to 1.

    Raises:
        ValueError: The calibrator knows no objects, or a folder or a file is not
            usable; the message lists all problems.
    """
    calibrator.need_decisions()
    files = MapFiles.of(maps, truth)
    reader = reader or MapReader()
    new_reviews = partial(_Reviews, calibrator, reader.logits, level)
    reviews = count_files(files, new_reviews, reader, workers=workers, what='reviewing')
    rows = [_as_stored(row, reader, files.pairs[row.name][0]) for row in reviews.rows]
    return most_doubtful_first(rows)


class _Reviews:
    """Rows, as :func:`~mmaslp.files.map_pairs.count_files` fills them."""

    def __init__(self, calibrator: Calibrator, logits: bool, level: float) -> None:
        self.calibrator = calibrator
        self.logits = logits
        self.level = level
        self.rows: list[Reviewed] = []

    def add(
        self, name: str, key: int, prob: np.ndarray, label: np.ndarray | None
    ) -> None:
        row = review_image(self.calibrator, name, prob, label, self.logits, self.level)
        self.rows.append(row)

    def merge(self, other: _Reviews) -> None:
        self.rows += other.rows


def review_image(
    calibrator: Calibrator,
    name: str,
    prob: np.ndarray,
    label: np.ndarray | None = None,
    logits: bool = False,
    level: float = 0.9,
    ignore_index: int = 255,
) -> Reviewed:
    """Review one map ``(H, W)`` or ``(D, H, W)``, with its mask if there is one."""
    prob = np.squeeze(prob)
    estimate, objects = calibrator.judge(prob, logits, level)
    p = expit(prob) if logits else prob

    truth = None
    if label is not None:
        labels = np.asarray(label)
        number = len(objects)
        truth = MaskTruth.of(p > 0.5, labels, objects.labels, number, ignore_index)
    return Reviewed(
        name,
        estimate,
        objects.without_labels(),
        size=prob.size,
        confidence=mean_confidence(p),
        truth=truth,
    )


def mean_confidence(prob: np.ndarray) -> float:
    """Mean of max(p, 1 - p), slice by slice to bound the memory."""
    slices = prob.reshape(-1, *prob.shape[-2:])
    total = sum(np.maximum(own, 1 - own).sum(dtype=np.float64) for own in slices)
    return float(total / prob.size)


def most_doubtful_first(rows: Sequence[Reviewed]) -> list[Reviewed]:
    """Sort rows; those of which nothing can be told come first."""
    return sorted(rows, key=lambda row: np.nan_to_num(row.estimate.score, nan=-1.0))


def _as_stored(row: Reviewed, reader: MapReader, path: Path) -> Reviewed:
    """Give the size of a voxel, and places of objects by the axes of the file."""
    grid = reader.grid_of(path)
    objects = row.objects
    if objects.box.shape[1] == 3:
        axis = reader.slice_axis(path)
        order = np.argsort([axis, *(other for other in range(3) if other != axis)])
        objects = replace(
            objects, box=objects.box[:, order], centre=objects.centre[:, order]
        )
    return replace(row, objects=objects, voxel=None if grid is None else grid.voxel)


# ---- the files ----


_NUMBERS = (
    *('score', 'dice', 'dice_low', 'iou', 'iou_low', 'accuracy', 'accuracy_low'),
    *('area', 'area_low', 'area_high', 'objects'),
)


def write_review(
    path: str | Path, rows: Sequence[Reviewed], overwrite: bool = False
) -> None:
    """Write a row an image, in the order of the review; empty where nothing is told."""
    volumes = any(row.voxel is not None for row in rows)
    truth = any(row.truth is not None for row in rows)
    header = ['image', *_NUMBERS, 'least_object', 'pixels']
    header += ['volume_mm3', 'volume_mm3_low', 'volume_mm3_high'] if volumes else []
    header += ['unlike', *(['true_dice', 'true_area'] if truth else [])]

    lines: list[list] = [header]
    for row in rows:
        line = [row.name, *(_text(getattr(row.estimate, key)) for key in _NUMBERS)]
        line += [_text(row.least_object), row.size]
        if volumes:
            voxel = np.nan if row.voxel is None else row.voxel
            ends = (row.estimate.area_low, row.estimate.area_high)
            line += [_text(area * voxel) for area in (row.estimate.area, *ends)]
        line.append(int(row.estimate.unlike))
        if row.truth is not None:
            line += [_text(row.truth.dice), row.truth.pixels]
        lines.append(line)
    _write_csv(path, lines, overwrite)


def write_objects(
    path: str | Path, rows: Sequence[Reviewed], overwrite: bool = False
) -> None:
    """Write a row an object, images in the order of the review."""
    axes = max((row.objects.box.shape[1] for row in rows), default=2)
    names = ('z', 'y', 'x')[-axes:]
    header = ['image', 'object', 'probability', 'area', 'mean_p']
    header += [f'{name}_{end}' for name in names for end in ('first', 'last')]
    header += [f'{name}_centre' for name in names]

    volumes = any(row.voxel is not None for row in rows)
    header += ['volume_mm3'] if volumes else []
    truth = any(row.truth is not None for row in rows)
    lines: list[list] = [header + (['real'] if truth else [])]

    for row in rows:
        table = row.objects
        for k in range(len(table)):
            line = [row.name, table.label[k], _text(table.probability[k])]
            line += [table.area[k], _text(table.mean[k])]
            line += [*table.box[k].ravel(), *map(_text, table.centre[k])]
            if volumes:
                voxel = np.nan if row.voxel is None else row.voxel
                line.append(_text(table.area[k] * voxel))
            if row.truth is not None:
                line.append(int(row.truth.real[k]) if row.truth.known[k] else '')
            lines.append(line)
    _write_csv(path, lines, overwrite)


def _text(value: float) -> str:
    return '' if np.isnan(value) else f'{value:.6g}'


def _write_csv(path: str | Path, lines: Sequence[Sequence], overwrite: bool) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator='\n').writerows(lines)
    write_output(path, buffer.getvalue().encode(errors='surrogateescape'), overwrite)


# ---- the proof ----


def proof(rows: Sequence[Reviewed], seed: int = 0) -> dict[str, tuple[float, ...]]:
    """Measure a review against its masks: each figure with its 95 % interval.

    Images are drawn with replacement, objects with their images. Figures:
    ``ece_object``, ``nll_object`` and ``auroc_object`` of the probability that an
    object is real, ``dice_error``, the mean error of the expected Dice, ``covered``,
    the share of images above the lower bound, ``aurc`` of the order of the review, of
    the mean confidence and of a perfect order, and ``area_error`` as a share of the
    image.
    """
    weights = draw_weights(len(rows), RESAMPLES, np.random.default_rng(seed))
    truths = [row.truth for row in rows if row.truth is not None]
    said = MaskTable(
        [truth.pairs(row.objects.probability) for truth, row in zip(truths, rows)],
        np.array([truth.dice for truth in truths]),
        np.array([row.estimate.dice for row in rows]),
        np.array([row.estimate.score for row in rows]),
    )
    above = said.dice >= np.array([row.estimate.dice_low for row in rows])
    size = np.array([row.size for row in rows])
    pixels = np.array([truth.pixels for truth in truths])
    area = np.array([row.estimate.area for row in rows])
    by_confidence = replace(said, score=np.array([row.confidence for row in rows]))
    by_truth = replace(said, score=said.dice)

    def mean(values: np.ndarray, drawn: np.ndarray | None) -> np.ndarray:
        drawn = np.ones(len(rows)) if drawn is None else drawn
        known = ~np.isnan(values)
        return ratio(drawn @ np.where(known, values, 0), drawn @ known)

    figures: dict[str, Callable[[np.ndarray | None], Any]] = {
        'ece_object': lambda drawn: binned_error(said.bins.pooled(drawn)),
        'nll_object': partial(object_nll, said),
        'auroc_object': partial(object_auroc, said),
        'dice_error': partial(dice_error, said),
        'covered': partial(mean, np.where(said.told, above, np.nan)),
        'aurc': partial(aurc_of, said),
        'aurc_confidence': partial(aurc_of, by_confidence),
        'aurc_perfect': partial(aurc_of, by_truth),
        'area_error': partial(mean, np.abs(area - pixels) / size),
    }
    return {
        key: (float(figure(None)), *percentiles(figure(weights)).tolist())
        for key, figure in figures.items()
    }
