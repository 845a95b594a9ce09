"""Reviewing a folder of maps: what to expect of each image, and of its objects."""

import heapq
import math
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
from ..common.maps import LabelledMap
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
from .nnunet_maps import IGNORED
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


@dataclass(frozen=True)
class StoredAt:
    """Where a map lies on disk, and how.

    Attributes:
        path (Path): Its file.
        grid (Grid | None): Of a NIfTI file, which it is or which lies beside it.
        slice_axis (int): Axis of the file that became the first one of the array.
    """

    path: Path = Path()
    grid: Grid | None = None
    slice_axis: int = 0


NOWHERE = StoredAt()  # of a map in memory

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
    # By extra a heap of the numbers of the rows that have it, the surest row first.
    doubtful: dict[str, list[tuple[float, int]]] = field(default_factory=dict)

    def add(
        self, name: str, path: Path, prob: np.ndarray, label: np.ndarray | None
    ) -> None:
        stored = StoredAt(path, self.reader.grid_of(path))
        if prob.ndim == 3:
            stored = replace(stored, slice_axis=self.reader.slice_axis(path))
        self.rows.append(self.review(name, prob, label, stored=stored))

    def merge(self, other: '_Reviews') -> None:
        for row in other.rows:
            self.rows.append(row)
            for extra, number in self.keep.items():
                self._keep_the_most_doubtful(extra, number)

    def _keep_the_most_doubtful(self, extra: str, most: int) -> None:
        """Let the surest of the rows with an extra go of it, if they are too many."""
        heap = self.doubtful.setdefault(extra, [])
        last = len(self.rows) - 1
        # Of rows with one score the later one is the surer, as in a sort.
        heapq.heappush(heap, (-_score(self.rows[last]), -last))

        if len(heap) > most:
            _, number = heapq.heappop(heap)
            self.rows[-number].extras.pop(extra, None)


def review_image(
    calibrator: Calibrator,
    name: str,
    prob: np.ndarray,
    label: np.ndarray | None = None,
    *,
    logits: bool = False,
    level: float = 0.9,
    smallest: float = 0.0,
    extras: Mapping[str, Extra] | None = None,
    stored: StoredAt = NOWHERE,
) -> Reviewed:
    """Review one map ``(H, W)`` or ``(D, H, W)``, with its mask if there is one.

    Pixels of the mask that are 255 do not count.
    """
    check_number('smallest', smallest, at_least=0)
    estimate, objects = calibrator.judge(prob, logits, level)
    if stored.grid is not None and prob.ndim == 3:
        smallest = smallest / stored.grid.voxel
    if smallest:
        objects = _without_small(objects, smallest)
        estimate = replace(estimate, objects=len(objects))

    if logits:
        p = expit(prob)
        mask = prob > 0
    else:
        p = prob
        mask = prob > 0.5

    truth = None
    if label is not None:
        labelled = LabelledMap.from_arrays(p, label, IGNORED)
        truth = MaskTruth.of(labelled, mask, objects.labels, len(objects))

    image = Judged(
        stored.path,
        name,
        p,
        objects,
        estimate,
        label=label,
        truth=truth,
        grid=stored.grid,
        slice_axis=stored.slice_axis,
        smallest=smallest,
        calibrator=calibrator,
    )
    made = {}
    for key, make in (extras or {}).items():
        made[key] = make(image)

    # Without the map, since processes send the table.
    table = replace(objects, labels=np.zeros((0,) * prob.ndim, np.int32))
    return Reviewed(
        name,
        estimate,
        _as_stored(table, stored.slice_axis),
        mask_area=int(np.count_nonzero(mask)),
        grid=stored.grid,
        truth=truth,
        extras=made,
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
    calibrator: Calibrator,
    rows: Sequence[Reviewed],
    groups: Mapping[str, int] | None = None,
) -> tuple[SetComparison | None, list[Reviewed]]:
    """Compare the images as a set with those of the fit, and give what holds of them.

    That are bounds, and probabilities of objects. None says that there are too few
    images to tell. ``groups`` has the number of the group of each name, such as its
    patient: groups are compared then.
    """
    group_of_row = None
    if groups is not None:
        group_of_row = [groups[row.name] for row in rows]
    try:
        comparison, estimates = calibrator.compare_set(
            [row.estimate for row in rows], group_of_row
        )
    except TooFewImages:
        return None, list(rows)
    compared = []
    for row, estimate in zip(rows, estimates):
        objects = comparison.objects(row.objects)
        compared.append(replace(row, estimate=estimate, objects=objects))
    return comparison, compared


def range_said(rows: Sequence[Reviewed]) -> str:
    """Say how many images have no bounds, and why; '' if all have some."""
    outside = 0
    without_bound = 0
    for row in rows:
        estimate = row.estimate
        if estimate.out_of_range:
            outside += 1
        elif np.isnan(estimate.dice_low) and not np.isnan(estimate.dice):
            without_bound += 1

    sentences = []
    if outside:
        sentences.append(
            f'{outside} of {len(rows)} images are outside of the range of the fit: a '
            'review puts them first, without bounds'
        )
    if without_bound:
        sentences.append(
            f'{without_bound} of {len(rows)} images have no bound of Dice: the fit has '
            'too few images for this level'
        )
    return '; '.join(sentences)


def most_doubtful_first(rows: Sequence[Reviewed]) -> list[Reviewed]:
    """Sort rows; those of which nothing can be told come first."""
    return sorted(rows, key=_score)


def _score(row: Reviewed) -> float:
    """The score of a row, -1 where nothing can be told."""
    score = float(row.estimate.score)
    return -1.0 if math.isnan(score) else score


# ---- the files ----


# What is expected of an image: the columns after its name.
_NUMBERS = (
    'score',
    'dice',
    'dice_low',
    'iou',
    'iou_low',
    'accuracy',
    'accuracy_low',
    'area',
    'area_low',
    'area_high',
    'present',
    'objects',
)


def write_review(
    path: str | Path, rows: Sequence[Reviewed], overwrite: bool = False
) -> None:
    """Write a row an image, in the order of the review; empty where nothing is told."""
    with_volumes = _any_volume(rows)
    lines = [_image_columns(row, with_volumes) for row in rows]
    write_csv(path, lines, ('image', 'dice'), overwrite)


def _image_columns(row: Reviewed, with_volumes: bool) -> dict[str, object]:
    expected = row.estimate
    columns: dict[str, object] = {'image': row.name}
    for key in _NUMBERS:
        columns[key] = _text(getattr(expected, key))
    columns['least_object'] = _text(min(row.objects.probability, default=np.nan))
    columns['mask_area'] = row.mask_area
    columns['pixels'] = expected.pixels

    if with_volumes:
        columns['volume_mm3'] = _text(expected.area * row.voxel)
        columns['volume_mm3_low'] = _text(expected.area_low * row.voxel)
        columns['volume_mm3_high'] = _text(expected.area_high * row.voxel)

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


def _any_volume(rows: Sequence[Reviewed]) -> bool:
    return any(row.grid is not None for row in rows)


def write_objects(
    path: str | Path, rows: Sequence[Reviewed], overwrite: bool = False
) -> None:
    """Write a row an object, images in the order of the review."""
    with_volumes = _any_volume(rows)
    lines = []
    for row in rows:
        for k in range(len(row.objects)):
            lines.append(_object_columns(row, k, with_volumes))
    write_csv(path, lines, OBJECT_COLUMNS, overwrite)


def _object_columns(row: Reviewed, k: int, with_volumes: bool) -> dict[str, object]:
    table = row.objects
    columns: dict[str, object] = {
        'image': row.name,
        'object': table.label[k],
        'probability': _text(table.probability[k]),
        'probability_low': _text(table.low[k]),
        'probability_high': _text(table.high[k]),
        'area': table.area[k],
        'mean_p': _text(table.mean[k]),
    }
    columns |= box_columns(table.box[k])
    for axis, place in zip(_axes(table.centre[k]), table.centre[k]):
        columns[f'{axis}_centre'] = _text(place)

    if with_volumes:
        right, front, head = row.in_mm(table.centre)[k]
        columns['volume_mm3'] = _text(table.area[k] * row.voxel)
        columns['right_mm'] = _text(right)
        columns['front_mm'] = _text(front)
        columns['head_mm'] = _text(head)

    if row.truth is not None:
        columns['real'] = int(row.truth.real[k]) if row.truth.known[k] else ''
    return columns


def box_columns(box: np.ndarray) -> dict[str, object]:
    """First and last place along each axis, by the name of their column."""
    columns: dict[str, object] = {}
    for axis, (first, last) in zip(_axes(box), box):
        columns[f'{axis}_first'] = first
        columns[f'{axis}_last'] = last
    return columns


def _axes(places: np.ndarray) -> tuple[str, ...]:
    """Names of the axes of an image, or of a volume."""
    return AXES[-len(places) :]


def _text(value: float) -> str:
    return '' if np.isnan(value) else f'{value:.6g}'


# ---- the proof ----


def proof(
    rows: Sequence[Reviewed], seed: int = 0, groups: Sequence[int] | None = None
) -> dict[str, tuple[float, ...]]:
    """Measure a review against its masks: each metric with its 95 % interval.

    Images are drawn with replacement, objects with their images. Metrics:
    ``ece_object`` and ``auroc_object`` of the probability that an object is real,
    ``dice_error``, the mean error of the expected Dice, ``covered``, the share of
    images above the lower bound, and ``aurc`` of the order of the review, all three of
    images with a mask, and ``area_error`` as a share of the image.

    ``groups`` are numbers of the group of each row, such as a patient: whole groups are
    drawn then.
    """
    rng = np.random.default_rng(seed)
    units = len(rows)
    if groups is None:
        weights = draw_weights(units, RESAMPLES, rng)
    else:
        different, group_of_row = np.unique(groups, return_inverse=True)
        units = len(different)
        weights = draw_weights(units, RESAMPLES, rng)[:, group_of_row]
    masks = []
    for row in rows:
        if row.truth is not None:
            expected = row.estimate
            probability = row.objects.probability
            masks.append(
                MaskTable.of_image(
                    row.truth, probability, expected.dice, expected.score
                )
            )
    table = MaskTable.join(masks)

    estimates = [row.estimate for row in rows]
    low = np.array([estimate.dice_low for estimate in estimates])
    area = np.array([estimate.area for estimate in estimates])
    size = np.array([estimate.pixels for estimate in estimates], float)
    is_bounded = ~np.isnan(low) & (table.predicted > 0)
    above = np.where(is_bounded, table.dice >= low, np.nan)

    metrics: dict[str, Callable[[np.ndarray | None], Any]] = {
        'ece_object': partial(object_ece, table),
        'auroc_object': partial(object_auroc, table),
        'dice_error': partial(dice_error, table),
        'covered': partial(mean_of_known, above),
        'aurc': partial(aurc_of, table),
        'area_error': partial(mean_of_known, np.abs(area - table.foreground) / size),
    }
    measured: dict[str, tuple[float, ...]] = {}
    for key, metric in metrics.items():
        interval = [np.nan, np.nan]
        if units > 1:  # one image has no interval
            interval = percentiles(metric(weights)).tolist()
        measured[key] = (float(metric(None)), interval[0], interval[1])
    return measured
