"""Reviewing a folder of maps: what to expect of each image, and of its objects."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from scipy.special import expit

from ..calibration.calibrator import Calibrator, loaded
from ..calibration.decisions import Decisions
from ..calibration.estimates import ObjectTable
from ..calibration.sets import SetComparison, TooFewImages
from ..common.arguments import check_number
from ..common.inputs import naming
from ..common.maps import LabelledMap, mask_of
from ..common.options import RESAMPLES
from ..files.map_pairs import MapFiles, read_pair
from ..files.nnunet_maps import IGNORED
from ..files.prob_maps import USUAL, MapReader
from ..files.reviews import Extra, Judged, Reviewed, stored_order
from ..files.stored_maps import StoredMap
from ..metrics.bootstrap import draw_weights, percentiles
from ..metrics.image_metrics import (
    aurc_of,
    dice_error,
    mean_of_known,
    object_auroc,
    object_ece,
)
from ..metrics.objects import MaskTable, MaskTruth, renumbered
from .count import check_foreground, count_files

AT_ONCE = 100  # resamples, so that many images take little memory


@dataclass(frozen=True)
class ReviewOptions:
    """What a review tells of each image.

    Args:
        level (float): Of the bounds, in (0, 1). Defaults to 0.9.
        smallest (float): Least size of an object, in pixels; of a volume with a
            spacing, in mm3. Defaults to 0.0.
        extras (Mapping): What else is made of each image, by name. Defaults to nothing.
        keep (Mapping): Of some extras, of how many of the most doubtful images they are
            made, where a folder is reviewed: these maps are read twice. Defaults to
            all.

    Raises:
        ValueError: A number is out of its range.
    """

    level: float = 0.9
    smallest: float = 0.0
    extras: Mapping[str, Extra] = field(default_factory=dict)
    keep: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_number('level', self.level, above=0, below=1)
        check_number('smallest', self.smallest, at_least=0)


def review_maps(
    calibrator: Calibrator,
    maps: str | Path | MapFiles,
    truth: str | Path | None = None,
    *,
    reader: MapReader = USUAL,
    options: ReviewOptions = ReviewOptions(),
    workers: int | None = 1,
) -> list[Reviewed]:
    """Review the maps of a folder, the most doubtful image first.

    Args:
        calibrator (Calibrator): One that `mmaslp fit` made.
        maps (str | Path | MapFiles): Folder of maps, or those that were listed.
        truth (str | Path, optional): Folder of masks of the same names. Defaults to
            None.
        reader (MapReader): How maps are read. Defaults to the usual way.
        options (ReviewOptions): What is told of each image. Defaults to the usual.
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
    check_foreground(calibrator, files, reader)
    of_all = dict(options.extras)
    of_some = {}
    for key, most in options.keep.items():
        if key in of_all and most < len(files.pairs):
            of_some[key] = of_all.pop(key)

    review = partial(
        review_image,
        calibrator,
        logits=reader.logits,
        options=replace(options, extras=of_all),
    )
    reviews = count_files(
        files,
        partial(_Reviews, review),
        _Reviews.add,
        reader,
        workers=workers,
        what='reviewing',
    )
    rows = most_doubtful_first(reviews.rows)
    of_doubtful = replace(options, extras=of_some)
    add_extras(calibrator, rows, files, of_doubtful, reader=reader, workers=workers)
    return rows


def add_extras(
    calibrator: Calibrator,
    rows: Sequence[Reviewed],
    files: MapFiles,
    options: ReviewOptions,
    *,
    reader: MapReader = USUAL,
    workers: int | None = 1,
) -> None:
    """Read reviewed maps again, for the extras that ``options`` name.

    They take the place of what a row has under their names. With ``options.keep`` they
    are made of the first rows only. The calibrator may tell less than that of the
    review.
    """
    jobs = []
    for place, row in enumerate(rows):
        extras = {}
        for key, make in options.extras.items():
            if place < options.keep.get(key, len(rows)):
                extras[key] = make
        if extras:
            pred, truth = files.pairs[row.name]
            of_row = replace(options, extras=extras)
            jobs.append(
                joblib.delayed(_extras)(
                    calibrator, row.name, pred, truth, of_row, reader
                )
            )
    for row, made in zip(rows, joblib.Parallel(n_jobs=workers)(jobs)):
        row.extras.update(made)


def _extras(
    calibrator: Calibrator,
    name: str,
    pred: Path,
    truth: Path | None,
    options: ReviewOptions,
    reader: MapReader,
) -> dict[str, Any]:
    """What is made of one map."""
    stored = StoredMap(pred)
    prob, label = read_pair(reader, stored, truth)
    with naming(pred), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # all was said in the first pass
        return review_image(
            calibrator,
            name,
            prob,
            label,
            logits=reader.logits,
            options=options,
            stored=stored,
        ).extras


@dataclass
class _Reviews:
    """Rows, as :func:`~mmaslp.workflows.count.count_files` fills them."""

    review: Callable[..., Reviewed]
    rows: list[Reviewed] = field(default_factory=list)

    def add(
        self,
        name: str,
        stored: StoredMap,
        prob: np.ndarray,
        label: np.ndarray | None,
    ) -> None:
        self.rows.append(self.review(name, prob, label, stored=stored))

    def merge(self, other: '_Reviews') -> None:
        self.rows += other.rows


def review_image(
    calibrator: Calibrator,
    name: str,
    prob: np.ndarray,
    label: np.ndarray | None = None,
    *,
    logits: bool = False,
    options: ReviewOptions = ReviewOptions(),
    stored: StoredMap | None = None,
) -> Reviewed:
    """Review one map ``(H, W)`` or ``(D, H, W)``, with its mask if there is one.

    Pixels of the mask that are 255 do not count. ``stored`` is where the map lies on
    disk, None of one in memory.
    """
    image = _judged(calibrator, name, prob, label, logits, options, stored)
    # Without the map, since processes send the table.
    table = replace(image.objects, labels=np.zeros((0,) * prob.ndim, np.int32))
    return Reviewed(
        name,
        image.estimate,
        _as_stored(table, image.slice_axis),
        mask_area=int(np.count_nonzero(mask_of(prob, logits))),
        grid=image.grid,
        truth=image.truth,
        extras={key: make(image) for key, make in options.extras.items()},
    )


def _judged(
    calibrator: Calibrator,
    name: str,
    prob: np.ndarray,
    label: np.ndarray | None,
    logits: bool,
    options: ReviewOptions,
    stored: StoredMap | None,
) -> Judged:
    """Say what to expect of a map and of its objects, and what is true."""
    path = Path()
    grid = None
    slice_axis = 0
    if stored is not None:
        path = stored.path
        grid = stored.grid
        if prob.ndim == 3:
            slice_axis = stored.slice_axis

    estimate, objects = calibrator.judge(prob, logits, options.level)
    smallest = options.smallest
    if grid is not None and prob.ndim == 3:
        smallest = smallest / grid.voxel
    if smallest:
        objects = _without_small(objects, smallest)
        estimate = replace(estimate, objects=len(objects))

    mask = mask_of(prob, logits)
    if logits:
        prob = expit(prob)
    truth = None
    if label is not None:
        labelled = LabelledMap.from_arrays(prob, label, IGNORED)
        truth = MaskTruth.of(labelled, mask, objects.labels, len(objects))
    return Judged(
        path,
        name,
        prob,
        objects,
        estimate,
        label=label,
        truth=truth,
        grid=grid,
        slice_axis=slice_axis,
        smallest=smallest,
        calibrator=calibrator,
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
    try:
        comparison, estimates = calibrator.compare_set(
            [row.estimate for row in rows], groups_of(rows, groups)
        )
    except TooFewImages:
        return None, list(rows)
    compared = []
    for row, estimate in zip(rows, estimates):
        objects = comparison.objects(row.objects)
        compared.append(replace(row, estimate=estimate, objects=objects))
    return comparison, compared


def groups_of(
    rows: Sequence[Reviewed], groups: Mapping[str, int] | None
) -> list[int] | None:
    """The number of the group of each row; None without groups."""
    if groups is None:
        return None
    return [groups[row.name] for row in rows]


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
            f'{outside} of {len(rows)} images are outside the range of the validation '
            'images in confidence, size or number of objects: a review puts them '
            'first, without bounds'
        )
    if without_bound:
        sentences.append(
            f'{without_bound} of {len(rows)} images have no bound of Dice: the fit has '
            'too few images for this level'
        )
    return '; '.join(sentences)


def unknown_dice_said(rows: Sequence[Reviewed], decisions: Decisions) -> str:
    """Say how many images have no expected Dice, and why; '' if all have one."""
    silent = [row for row in rows if np.isnan(row.estimate.dice)]
    if not silent:
        return ''

    number = f'{len(silent)} of {len(rows)} images have no expected Dice'
    if decisions.image is None:
        return f'{number}: the fit had too few images to tell it, or could not'
    if all(row.mask_area == 0 for row in silent):
        return (
            f'{number}: nothing was found in them, and the fit had too few such images'
        )
    return f'{number}: they differ from the images of the fit'


def most_doubtful_first(rows: Sequence[Reviewed]) -> list[Reviewed]:
    """Sort rows; those of which nothing can be told come first."""
    return sorted(rows, key=_score)


def _score(row: Reviewed) -> float:
    """The score of a row, -1 where nothing can be told."""
    score = float(row.estimate.score)
    return -1.0 if math.isnan(score) else score


def proof(
    rows: Sequence[Reviewed], groups: Sequence[int] | None = None
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
    if not rows:
        raise ValueError('there is no image to measure the review with')
    group_of_row = np.arange(len(rows))
    if groups is not None:
        group_of_row = np.unique(groups, return_inverse=True)[1]
    units = int(group_of_row.max(initial=-1)) + 1
    metrics = _metrics_of_proof(rows)
    drawn: dict[str, list[np.ndarray]] = {key: [] for key in metrics}
    rng = np.random.default_rng(0)
    for _ in range(0, RESAMPLES, AT_ONCE):
        weights = draw_weights(units, AT_ONCE, rng)[:, group_of_row]
        for key, metric in metrics.items():
            drawn[key].append(metric(weights))

    measured: dict[str, tuple[float, ...]] = {}
    for key, metric in metrics.items():
        interval = [np.nan, np.nan]
        if units > 1:  # one image has no interval
            interval = percentiles(np.concatenate(drawn[key])).tolist()
        measured[key] = (float(metric(None)), interval[0], interval[1])
    return measured


def _metrics_of_proof(
    rows: Sequence[Reviewed],
) -> dict[str, Callable[[np.ndarray | None], Any]]:
    """By key a metric of these rows, which takes weights as :func:`mean_of_known`."""
    masks = []
    low = []
    area_error = []
    for row in rows:
        if row.truth is None:
            raise ValueError(f'{row.name} has no mask to measure the review with')
        expected = row.estimate
        masks.append(
            MaskTable.of_image(
                row.truth, row.objects.probability, expected.dice, expected.score
            )
        )
        low.append(expected.dice_low)
        area_error.append(abs(expected.area - row.truth.foreground) / expected.pixels)

    table = MaskTable.join(masks)
    is_bounded = ~np.isnan(low) & (table.predicted > 0)
    above = np.where(is_bounded, table.dice >= np.array(low), np.nan)
    return {
        'ece_object': partial(object_ece, table),
        'auroc_object': partial(object_auroc, table),
        'dice_error': partial(dice_error, table),
        'covered': partial(mean_of_known, above),
        'aurc': partial(aurc_of, table),
        'area_error': partial(mean_of_known, np.array(area_error)),
    }
