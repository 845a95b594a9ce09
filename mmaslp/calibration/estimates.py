"""What to expect of an image and of its objects."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import ndimage

from ..common.maps import LabelledMap, mask_of
from ..metrics.image_metrics import mean_of_known
from ..metrics.objects import MaskTable, MaskTruth, find_objects
from .decisions import LEAST_EMPTY, MARGIN, Decisions, Predictor, weighted_quantile
from .features import (
    CODES,
    UNCALIBRATED,
    ImageCounts,
    accuracy_of,
    areas_of,
    domain_features,
    expected_dice,
    has_mask,
    image_features,
    object_features,
)


@dataclass(frozen=True)
class ImageEstimate:
    """What to expect of the mask p > 1/2 of one image; nan where nothing can be told.

    Attributes:
        dice (float): Expected Dice, the median of such images: their mean is lower
            where some hold nothing, see ``present``. Of an empty mask: the probability
            that the image holds nothing.
        dice_low (float): A share ``level`` of such images has this Dice or more.
        iou (float): Expected IoU; also ``iou_low``.
        accuracy (float): Expected share of right pixels; also ``accuracy_low``.
        area (float): Expected foreground, in pixels; with an interval of the level,
            ``area_low`` and ``area_high``.
        area_unit (float): What the interval of the area grows with.
        present (float): Probability that the image holds anything at all.
        objects (int): Number of objects found.
        pixels (int): Number of pixels.
        score (float): Orders images: the most doubtful have the least. Below 0 outside
            of the range of the fit, and nan where nothing is known: both come first.
        level (float): Of the bounds.
        distance (float): How far the image is outside of the range of the images of the
            fit, in widths of that range; 0 inside.
        out_of_range (bool): Whether that is too far: no bound, accuracy or area is
            given then, and ``dice`` is at most what the probabilities say.
        features (tuple[float, ...]): Domain features, by which a set is compared.
    """

    dice: float
    dice_low: float
    iou: float
    iou_low: float
    accuracy: float
    accuracy_low: float
    area: float
    area_low: float
    area_high: float
    area_unit: float
    present: float
    objects: int
    pixels: int
    score: float
    level: float
    distance: float
    out_of_range: bool
    features: tuple[float, ...]

    def without_answers(self) -> 'ImageEstimate':
        """Give it without all that a set which is not like the fit leaves untold.

        Objects, ``present``, the order and the distance stay.
        """
        return replace(
            self,
            dice=np.nan,
            dice_low=np.nan,
            iou=np.nan,
            iou_low=np.nan,
            accuracy=np.nan,
            accuracy_low=np.nan,
            area=np.nan,
            area_low=np.nan,
            area_high=np.nan,
        )


def estimate_image(
    decisions: Decisions, image: ImageCounts, prob: np.ndarray, level: float = 0.9
) -> ImageEstimate:
    """Say what to expect of an image, by ``(CODES,)`` calibrated probabilities."""
    features = domain_features(image)
    distance = decisions.distance(features)
    far = distance > MARGIN
    if image.in_mask.any():
        dice, score, present = _expected(decisions, image, prob, far)
    else:
        dice, score, present = _empty(decisions, far)

    of_area = prob
    if decisions.area_from == 'uncalibrated':
        of_area = UNCALIBRATED
    areas = areas_of(image, of_area)
    estimate = ImageEstimate(
        dice=dice,
        dice_low=np.nan,
        iou=_iou_of(dice, features),
        iou_low=np.nan,
        accuracy=accuracy_of(image, prob),
        accuracy_low=np.nan,
        area=areas['area'],
        area_low=np.nan,
        area_high=np.nan,
        area_unit=areas[decisions.area_unit],
        present=present,
        objects=image.num_objects,
        pixels=int(image.pixels.sum()),
        score=score,
        level=level,
        distance=distance,
        out_of_range=far,
        features=tuple(features),
    )
    return with_bounds(decisions, estimate)


def _expected(
    decisions: Decisions, image: ImageCounts, prob: np.ndarray, far: bool
) -> tuple[float, float, float]:
    """Expected Dice of an image with a mask, its score, and ``present``."""
    features = image_features(image, prob)[None]
    dice = _predicted(decisions.image, features)
    score = _predicted(decisions.score, features)
    present = _predicted(decisions.present, features)
    probable = min(expected_dice(image, prob), expected_dice(image, UNCALIBRATED))
    if np.isnan(score):  # an order holds also where no Dice can be told
        score = probable
    if far:
        return float(np.minimum(dice, probable)), probable - 1, present
    return dice, score, present


def _predicted(predictor: Predictor | None, features: np.ndarray) -> float:
    """The value of one row of features; nan without a prediction."""
    if predictor is None:
        return np.nan
    return float(predictor(features)[0])


def _empty(decisions: Decisions, far: bool) -> tuple[float, float, float]:
    """The same of an image with an empty mask: it is right if nothing is there."""
    images, nothing = decisions.empty
    if images < LEAST_EMPTY:
        return np.nan, np.nan, np.nan
    chance = (nothing + 0.5) / (images + 1)
    dice = chance
    if not decisions.image:  # a mean would be one of empty masks
        dice = np.nan
    score = chance - 1 if far else chance
    return dice, score, 1 - chance


def _iou_of(dice: float, features: Sequence[float]) -> float:
    """The IoU that belongs to a Dice: of an empty mask both are 0 or 1."""
    if has_mask(features):
        return dice / (2 - dice)
    return dice


def without_bias(
    decisions: Decisions,
    estimates: Sequence[ImageEstimate],
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Expected Dice of each image, ``(I,)``, such that means of them hold.

    What is expected of an image with a mask is a median, and means of many images lie
    lower. So the weighted mean of Dice less the expected Dice, out of fold, is added.
    """
    errors = decisions.errors
    apart = errors['dice'] - errors['expected']
    expected = np.array([estimate.dice for estimate in estimates])
    with_mask = np.array([has_mask(estimate.features) for estimate in estimates], bool)
    return expected + with_mask * np.nan_to_num(mean_of_known(apart, weights))


def with_bounds(
    decisions: Decisions, estimate: ImageEstimate, weights: np.ndarray | None = None
) -> ImageEstimate:
    """Give an estimate its bounds, by weights of the images of the fit if they differ.

    An image outside of the range has none, and no accuracy and area either.
    """
    if estimate.out_of_range:
        return replace(estimate, accuracy=np.nan, area=np.nan)
    level = estimate.level
    low = estimate.dice  # nan stays
    if has_mask(estimate.features):
        low = decisions.lower_dice(estimate.dice, level, weights)
    elif estimate.dice < level:
        low = 0.0

    errors = decisions.errors
    worst = weighted_quantile(errors['accuracy_errors'], 1 - level, weights)
    area_errors = errors['area_errors']
    less = weighted_quantile(area_errors, (1 - level) / 2, weights)
    more = weighted_quantile(area_errors, (1 + level) / 2, weights)
    area_low = estimate.area + estimate.area_unit * less
    area_high = estimate.area + estimate.area_unit * more
    return replace(
        estimate,
        dice_low=low,
        iou_low=_iou_of(low, estimate.features),
        accuracy_low=float(np.clip(estimate.accuracy + worst, 0, estimate.accuracy)),
        area_low=float(np.clip(area_low, 0, None)),
        area_high=float(np.clip(area_high, None, estimate.pixels)),
    )


@dataclass(frozen=True)
class ObjectTable:
    """The objects of one image with D axes.

    Attributes:
        labels (np.ndarray): Map of the image: 0, or the label of the object.
        label (np.ndarray): ``(O,)`` 1 to O.
        probability (np.ndarray): ``(O,)`` that the object is real; nan where the
            validation images could not tell.
        low (np.ndarray): ``(O,)`` lower end of a range of 90 % of the probability,
            where few validation objects tell it; nan elsewhere. Also ``high``.
        area (np.ndarray): ``(O,)`` pixels, of a volume voxels.
        box (np.ndarray): ``(O, D, 2)`` first and last place along each axis, inclusive.
        centre (np.ndarray): ``(O, D)`` centre of mass, in pixels.
        mean (np.ndarray): ``(O,)`` mean probability of the pixels, by
            :attr:`~mmaslp.calibration.Calibrator.mask_calibrator`.
    """

    labels: np.ndarray
    label: np.ndarray
    probability: np.ndarray
    low: np.ndarray
    high: np.ndarray
    area: np.ndarray
    box: np.ndarray
    centre: np.ndarray
    mean: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def without_probabilities(self) -> 'ObjectTable':
        """Give it without probabilities, which hold for objects like those of the fit.

        ``mean``, which orders objects, stays, and so do their places.
        """
        nothing = np.full(len(self), np.nan)
        return replace(self, probability=nothing, low=nothing, high=nothing)


def box_of(sides: Iterable[slice]) -> np.ndarray:
    """``(D, 2)`` first and last place along each axis of the slices of an object."""
    return np.array([(side.start, side.stop - 1) for side in sides])


def table_of_objects(
    decisions: Decisions, image: ImageCounts, prob: np.ndarray, labels: np.ndarray
) -> ObjectTable:
    """Put the objects of an image together, by ``(CODES,)`` probabilities."""
    number = image.num_objects
    features = object_features(image, prob)
    probability = low = high = np.full(number, np.nan)
    if decisions.objects is not None and number:
        probability = decisions.objects(features)
        low, high = decisions.objects.range(features)

    boxes = np.zeros((number, labels.ndim, 2), np.int64)
    centres = np.zeros((number, labels.ndim))
    for row, box in enumerate(ndimage.find_objects(labels, number)):
        boxes[row] = box_of(box)
        centres[row] = boxes[row, :, 0] + np.argwhere(labels[box] == row + 1).mean(0)

    area = image.sums_of_objects(np.ones(CODES))
    return ObjectTable(
        labels=labels,
        label=np.arange(1, number + 1),
        probability=probability,
        low=low,
        high=high,
        area=area.astype(np.int64),
        box=boxes,
        centre=centres,
        mean=image.sums_of_objects(prob) / np.maximum(area, 1),
    )


def mask_estimates(labelled: LabelledMap) -> MaskTable:
    """Estimate the mask of one map, beside its truth.

    An object is as probable as the mean of its pixels. The expected Dice, and what
    orders images, is the Soft Dice Confidence, which tells nothing of an empty mask.
    Source: `Borges et al. <https://arxiv.org/abs/2402.10665>`_.
    """
    labelled = labelled.cpu().filled()
    values = labelled.values.numpy()
    valid: Any = True
    if labelled.valid is not None:
        valid = labelled.valid.numpy()
    mask = mask_of(values)
    objects, number = find_objects(mask)

    # Few pixels of a volume are in its mask.
    inside = values[mask]
    owner = objects[mask]
    pixels = np.bincount(owner, minlength=number + 1)[1:]
    mass = np.bincount(owner, inside, number + 1)[1:]

    valid_inside = np.broadcast_to(valid, mask.shape)[mask]
    size = np.count_nonzero(valid_inside)
    mass_inside = inside.sum(where=valid_inside, dtype=np.float64)
    total = values.sum(where=valid, dtype=np.float64)
    expected = np.nan
    if size:
        expected = float(2 * mass_inside / (size + total))
    truth = MaskTruth.of(labelled, mask, objects, number)
    return MaskTable.of_image(truth, mass / pixels, expected, expected)
