"""Reviewing a folder of maps: what to expect of each image, and of its objects."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from ..calibration.calibrator import Calibrator, loaded
from ..calibration.estimates import ImageEstimate, ObjectTable
from ..calibration.sets import SetComparison, TooFewImages
from ..common.arguments import check_number
from ..common.arrays import binary_pixels
from ..metrics.bootstrap import draw_weights, percentiles
from ..metrics.image_metrics import (
    aurc_of,
    dice_error,
    mean_of_known,
    object_auroc,
    object_ece,
)
from ..metrics.objects import MaskTable, MaskTruth, find_objects, is_real, renumbered
from .csv_tables import write_csv
from .map_pairs import MapFiles, count_files
from .prob_maps import USUAL, MapReader
from .volumes import AXES, Grid

RESAMPLES = 1000


@dataclass(frozen=True)
class Judged:
    """An image while it is at hand, for what is made of it in the same pass.

    Attributes:
        path (Path): File of its map.
        name (str): Stem of its file.
        prob (np.ndarray): ``(H, W)`` or ``(D, H, W)`` probabilities as shipped.
        objects (ObjectTable): With the map of labels.
        estimate (ImageEstimate): What to expect of it.
        label (np.ndarray | None): Its mask, of the same shape.
        truth (MaskTruth | None): What the mask says.
        grid (Grid | None): Of its file.
        slice_axis (int): Axis of the file that became the first one of the array.
        smallest (float): Least size of an object, in pixels.
        calibrator (Calibrator | None): What judged it.
    """

    path: Path
    name: str
    prob: np.ndarray
    objects: ObjectTable
    estimate: ImageEstimate
    label: np.ndarray | None = None
    truth: MaskTruth | None = None
    grid: Grid | None = None
    slice_axis: int = 0
    smallest: float = 0.0
    calibrator: Calibrator | None = None

    @cached_property
    def unseen(self) -> np.ndarray:
        """Numbers of the labelled objects that the network does not see."""
        labels, number = find_objects(np.asarray(self.label == 1))
        seen = np.bincount(labels[self.prob > 0.5], minlength=number + 1)
        area = np.bincount(labels.ravel(), minlength=number + 1)
        unseen = ~is_real(seen, area) & (area >= self.smallest)
        unseen[0] = False
        return renumbered(labels, unseen)


# Makes something of an image in the same pass; it is sent to other processes.
Extra = Callable[[Judged], Any]


@dataclass(frozen=True)
class Reviewed:
    """An image, what to expect of it, and what is true if masks were given.

    Attributes:
        name (str): Stem of its file.
        estimate (ImageEstimate): See there.
        objects (ObjectTable): Without the map of labels; places by the axes of the
            file.
        mask_area (int): Pixels of the mask p > 1/2.
        grid (Grid | None): Of a NIfTI file, which the map is or which lies beside it.
        truth (MaskTruth | None): Of its mask.
        extras (dict[str, Any]): What was made of it in the same pass, by name.
    """

    name: str
    estimate: ImageEstimate
    objects: ObjectTable
    mask_area: int
    grid: Grid | None = None
    truth: MaskTruth | None = None
    extras: dict[str, Any] = field(default_factory=dict)

    @property
    def voxel(self) -> float:
        """float: Volume of a voxel in mm3; nan where it is not known."""
        return np.nan if self.grid is None else self.grid.voxel

    def in_mm(self, places: np.ndarray) -> np.ndarray:
        """``(P, 3)`` mm towards right, front and head; nan where not known.

        ``places`` are ``(P, D)`` along the axes of the file.
        """
        if not (self.grid and self.grid.is_placed and places.shape[1] == 3):
            return np.full((len(places), 3), np.nan)
        points = np.column_stack([places[:, ::-1], np.ones(len(places))])
        return points @ np.array(self.grid.affine)[:3].T


def review_maps(
    calibrator: Calibrator,
    maps: str | Path | MapFiles,
    truth: str | Path | None = None,
    *,
    reader: MapReader = USUAL,
    level: float = 0.9,
    smallest: float = 0.0,
    extras: Mapping[str, Extra] | None = None,
    keep: Mapping[str, int] | None = None,
    workers: int | None = 1,
) -> list[Reviewed]:
    """Review the maps of a folder, the most doubtful image first.

    Args:
        calibrator (Calibrator): One that `mmaslp fit` made.
        maps (str | Path | MapFiles): Folder of maps, or those that were listed.
        truth (str | Path, optional): Folder of masks of the same names. Defaults to
            None.
        reader (MapReader): How maps are read. Defaults to the usual way.
        level (float): Of the bounds, in (0, 1). Defaults to 0.9.
        smallest (float): Least size of an object, in pixels; of a volume with a
            spacing, in mm3. Defaults to 0.0.
        extras (Mapping, optional): What else is made of each image, by name. Defaults
            to None.
        keep (Mapping, optional): Of some extras, of how many of the most doubtful
            images they are kept. Defaults to None: of all.
        workers (int, optional): Processes. None takes the backend of
            ``joblib.parallel_config``, such as Dask. Defaults to 1.

    Raises:
        ValueError: The calibrator knows no objects, or a folder or a file is not
            usable; the message lists all problems.
    """
    calibrator = loaded('calibrator', calibrator)
    calibrator.need_decisions()

    if isinstance(maps, MapFiles) and truth is not None:
        raise ValueError('truth: give the masks to MapFiles.of, beside the maps')
    files = maps if isinstance(maps, MapFiles) else MapFiles.of(maps, truth)
    review = partial(
        review_image,
        calibrator,
        logits=reader.logits,
        level=level,
        smallest=smallest,
        extras=extras or {},
    )
    new_reviews = partial(_Reviews, review, reader, keep or {})
    reviews = count_files(
        files, new_reviews, _Reviews.add, reader, workers=workers, what='reviewing'
    )
    return most_doubtful_first(reviews.rows)


@dataclass
class _Reviews:
    """Rows, as :func:`~mmaslp.files.map_pairs.count_files` fills them."""

    review: Callable[..., Reviewed]
    reader: MapReader
    keep: Mapping[str, int]
    rows: list[Reviewed] = field(default_factory=list)

    def add(
        self, name: str, path: Path, prob: np.ndarray, label: np.ndarray | None
    ) -> None:
        grid = self.reader.grid_of(path)
        self.rows.append(
            self.review(
                name,
                prob,
                label,
                path=path,
                grid=grid,
                slice_axis=self.reader.slice_axis(path) if prob.ndim == 3 else 0,
            )
        )

    def merge(self, other: '_Reviews') -> None:
        self.rows += other.rows
        for extra, number in self.keep.items():
            for row in most_doubtful_first(self.rows)[number:]:
                row.extras.pop(extra, None)


def review_image(
    calibrator: Calibrator,
    name: str,
    prob: np.ndarray,
    label: np.ndarray | None = None,
    *,
    logits: bool = False,
    level: float = 0.9,
    ignore_index: int = 255,
    path: Path = Path(),
    grid: Grid | None = None,
    slice_axis: int = 0,
    smallest: float = 0.0,
    extras: Mapping[str, Extra] | None = None,
) -> Reviewed:
    """Review one map ``(H, W)`` or ``(D, H, W)``, with its mask if there is one."""
    check_number('smallest', smallest, at_least=0)
    estimate, objects = calibrator.judge(prob, logits, level)
    least = smallest / (1.0 if grid is None or prob.ndim == 2 else grid.voxel)
    if least:
        objects = _without_small(objects, least)
        estimate = replace(estimate, objects=len(objects))

    p = expit(prob) if logits else prob
    mask = prob > (0 if logits else 0.5)
    truth = None
    if label is not None:
        binary_pixels(p, label, ignore_index)
        truth = MaskTruth.of(mask, label, objects.labels, len(objects), ignore_index)

    image = Judged(
        path,
        name,
        p,
        objects,
        estimate,
        label=label,
        truth=truth,
        grid=grid,
        slice_axis=slice_axis,
        smallest=least,
        calibrator=calibrator,
    )
    return Reviewed(
        name,
        estimate,
        # Without the map, since processes send the table.
        _as_stored(
            replace(objects, labels=np.zeros((0,) * prob.ndim, np.int32)), slice_axis
        ),
        mask_area=int(np.count_nonzero(mask)),
        grid=grid,
        truth=truth,
        extras={key: make(image) for key, make in (extras or {}).items()},
    )


def _without_small(objects: ObjectTable, least: float) -> ObjectTable:
    """Leave out objects of less than ``least`` pixels, and number the others anew."""
    kept = objects.area >= least
    columns = {
        key: values[kept] for key, values in vars(objects).items() if key != 'labels'
    }
    columns['label'] = np.arange(1, kept.sum() + 1)
    return ObjectTable(
        labels=renumbered(objects.labels, np.append(False, kept)), **columns
    )


def stored_order(slice_axis: int) -> np.ndarray:
    """``(3,)`` axes of an array whose slices were put first, as the file has them."""
    return np.argsort([slice_axis, *(k for k in range(3) if k != slice_axis)])


def _as_stored(objects: ObjectTable, slice_axis: int) -> ObjectTable:
    """Give places of objects by the axes of the file."""
    if objects.box.shape[1] != 3:
        return objects
    order = stored_order(slice_axis)
    return replace(objects, box=objects.box[:, order], centre=objects.centre[:, order])


def compare_review(
    calibrator: Calibrator, rows: Sequence[Reviewed]
) -> tuple[SetComparison | None, list[Reviewed]]:
    """Compare the images as a set with those of the fit, and give the bounds that hold.

    None says that there are too few images to tell.
    """
    try:
        comparison, estimates = calibrator.compare_set([row.estimate for row in rows])
    except TooFewImages:
        return None, list(rows)
    return comparison, [
        replace(row, estimate=estimate) for row, estimate in zip(rows, estimates)
    ]


def range_said(rows: Sequence[Reviewed]) -> str:
    """Say how many images have no bounds, and why; '' if all have some."""
    estimates = [row.estimate for row in rows]
    outside = sum(each.out_of_range for each in estimates)
    inside = [each for each in estimates if not each.out_of_range]
    few = sum(np.isnan(each.dice_low) > np.isnan(each.dice) for each in inside)
    said = {
        'are outside of the range of the fit: a review puts them first, without '
        'bounds': outside,
        'have no bound of Dice: the fit has too few images for this level': few,
    }
    return '; '.join(
        f'{number} of {len(rows)} images {words}'
        for words, number in said.items()
        if number
    )


def most_doubtful_first(rows: Sequence[Reviewed]) -> list[Reviewed]:
    """Sort rows; those of which nothing can be told come first."""
    return sorted(rows, key=lambda row: np.nan_to_num(row.estimate.score, nan=-1.0))


# ---- the files ----


_NUMBERS = (
    *('score', 'dice', 'dice_low', 'iou', 'iou_low', 'accuracy', 'accuracy_low'),
    *('area', 'area_low', 'area_high', 'present', 'objects'),
)


def write_review(
    path: str | Path, rows: Sequence[Reviewed], overwrite: bool = False
) -> None:
    """Write a row an image, in the order of the review; empty where nothing is told."""
    with_volumes = any(row.grid is not None for row in rows)
    lines = [_image_columns(row, with_volumes) for row in rows]
    write_csv(path, lines, ('image', 'dice'), overwrite)


def _image_columns(row: Reviewed, with_volumes: bool) -> dict[str, object]:
    expected = row.estimate
    columns: dict[str, object] = {
        'image': row.name,
        **{key: _text(getattr(expected, key)) for key in _NUMBERS},
        'least_object': _text(min(row.objects.probability, default=np.nan)),
        'mask_area': row.mask_area,
        'pixels': expected.pixels,
    }
    if with_volumes:
        columns |= {
            f'volume_mm3{end}': _text(getattr(expected, f'area{end}') * row.voxel)
            for end in ('', '_low', '_high')
        }

    columns['out_of_range'] = int(expected.out_of_range)
    if row.truth is not None:
        columns['true_dice'] = _text(row.truth.dice)
        columns['true_area'] = row.truth.pixels
    return columns


OBJECT_COLUMNS = (
    'image',
    'object',
    'probability',
    'probability_low',
    'probability_high',
    'area',
    'mean_p',
)


def write_objects(
    path: str | Path, rows: Sequence[Reviewed], overwrite: bool = False
) -> None:
    """Write a row an object, images in the order of the review."""
    with_volumes = any(row.grid is not None for row in rows)
    lines = [
        _object_columns(row, k, with_volumes)
        for row in rows
        for k in range(len(row.objects))
    ]
    write_csv(path, lines, OBJECT_COLUMNS, overwrite)


def _object_columns(row: Reviewed, k: int, with_volumes: bool) -> dict[str, object]:
    table = row.objects
    values = (
        *(row.name, table.label[k], _text(table.probability[k])),
        *(_text(table.low[k]), _text(table.high[k])),  # of few objects
        *(table.area[k], _text(table.mean[k])),
    )
    columns = dict(zip(OBJECT_COLUMNS, values)) | box_columns(table.box[k])
    columns |= {
        f'{name}_centre': _text(place)
        for name, place in zip(_axes(table.centre[k]), table.centre[k])
    }

    if with_volumes:
        volume = table.area[k] * row.voxel
        names = ('volume_mm3', 'right_mm', 'front_mm', 'head_mm')
        columns |= zip(names, map(_text, [volume, *row.in_mm(table.centre)[k]]))
    if row.truth is not None:
        columns['real'] = int(row.truth.real[k]) if row.truth.known[k] else ''
    return columns


def box_columns(box: np.ndarray) -> dict[str, object]:
    """First and last place along each axis, by the name of their column."""
    return {
        f'{name}_{end}': place
        for name, places in zip(_axes(box), box)
        for end, place in zip(('first', 'last'), places)
    }


def _axes(places: np.ndarray) -> tuple[str, ...]:
    """Names of the axes of an image, or of a volume."""
    return AXES[-len(places) :]


def _text(value: float) -> str:
    return '' if np.isnan(value) else f'{value:.6g}'


# ---- the proof ----


def proof(rows: Sequence[Reviewed], seed: int = 0) -> dict[str, tuple[float, ...]]:
    """Measure a review against its masks: each metric with its 95 % interval.

    Images are drawn with replacement, objects with their images. Metrics:
    ``ece_object`` and ``auroc_object`` of the probability that an object is real,
    ``dice_error``, the mean error of the expected Dice, ``covered``, the share of
    images above the lower bound, and ``aurc`` of the order of the review, all three of
    images with a mask, and ``area_error`` as a share of the image.
    """
    weights = draw_weights(len(rows), RESAMPLES, np.random.default_rng(seed))
    table = MaskTable.join(
        [
            MaskTable.of_image(
                row.truth,
                row.objects.probability,
                row.estimate.dice,
                row.estimate.score,
            )
            for row in rows
            if row.truth is not None
        ]
    )
    estimates = [row.estimate for row in rows]
    low, area, size = np.array([(e.dice_low, e.area, e.pixels) for e in estimates]).T
    above = np.where(~np.isnan(low) & (table.predicted > 0), table.dice >= low, np.nan)

    metrics: dict[str, Callable[[np.ndarray | None], Any]] = {
        'ece_object': partial(object_ece, table),
        'auroc_object': partial(object_auroc, table),
        'dice_error': partial(dice_error, table),
        'covered': partial(mean_of_known, above),
        'aurc': partial(aurc_of, table),
        'area_error': partial(mean_of_known, np.abs(area - table.foreground) / size),
    }
    return {
        key: (
            float(metric(None)),
            # One image has no interval.
            *(
                percentiles(metric(weights)).tolist()
                if len(rows) > 1
                else (np.nan, np.nan)
            ),
        )
        for key, metric in metrics.items()
    }
