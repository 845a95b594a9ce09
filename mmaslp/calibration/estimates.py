"""What to expect of an image and its objects."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import ndimage

from .counts import CODES, ImageCounts
from .decisions import LEAST_EMPTY, MARGIN, Decisions, weighted_quantile
from .features import (
    UNCALIBRATED,
    accuracy_of,
    area_of,
    domain_features,
    expected_dice,
    image_features,
    object_features,
)


@dataclass(frozen=True)
class ImageEstimate:
    """What to expect of the mask p > 1/2 of one image; nan where nothing can be told.

    Attributes:
        dice (float): Expected Dice. Of an empty mask: the probability that the image
            holds nothing.
        dice_low (float): A share ``level`` of such images has a larger Dice.
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
        out_of_range (bool): Whether that is too far: no bound is given then, and
            ``dice`` is at most what the probabilities say.
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


def estimate_image(
    decisions: Decisions, image: ImageCounts, prob: np.ndarray, level: float = 0.9
) -> ImageEstimate:
    """Say what to expect of an image, by ``(CODES,)`` calibrated probabilities."""
    features = domain_features(image)
    distance = decisions.distance(features)
    far = distance > MARGIN
    masked = bool(image.in_mask.any())

    dice, score, present = (
        _expected(decisions, image, prob, far) if masked else _empty(decisions)
    )
    estimate = ImageEstimate(
        dice=dice,
        dice_low=np.nan,
        iou=dice / (2 - dice),
        iou_low=np.nan,
        accuracy=accuracy_of(image, prob),
        accuracy_low=np.nan,
        area=area_of(image, prob),
        area_low=np.nan,
        area_high=np.nan,
        area_unit=area_of(image, prob, decisions.area_unit),
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
    dice, score, present = (
        np.nan if predict is None else float(predict(features)[0])
        for predict in (decisions.image, decisions.score, decisions.present)
    )
    probable = min(expected_dice(image, prob), expected_dice(image, UNCALIBRATED))
    if np.isnan(score):  # an order holds also where no Dice can be told
        score = probable
    if far:
        return float(np.minimum(dice, probable)), probable - 1, present
    return dice, score, present


def _empty(decisions: Decisions) -> tuple[float, float, float]:
    """The same of an image with an empty mask: it is right if nothing is there."""
    images, nothing = decisions.empty
    if images < LEAST_EMPTY:
        return np.nan, np.nan, np.nan
    chance = (nothing + 0.5) / (images + 1)
    return chance, chance, 1 - chance


def with_bounds(
    decisions: Decisions, estimate: ImageEstimate, weights: np.ndarray | None = None
) -> ImageEstimate:
    """Give an estimate its bounds, by weights of the images of the fit if they differ.

    An image outside of the range has none.
    """
    if estimate.out_of_range:
        return without_bounds(estimate)
    level = estimate.level
    if estimate.features[2] > 0:
        low = decisions.lower_dice(estimate.dice, level, weights)
    else:
        low = float(estimate.dice >= level) * estimate.dice

    errors = decisions.errors
    worst = weighted_quantile(errors['accuracy_errors'], 1 - level, weights)
    area_low, area_high = (
        estimate.area
        + estimate.area_unit * weighted_quantile(errors['area_errors'], tail, weights)
        for tail in ((1 - level) / 2, (1 + level) / 2)
    )
    return replace(
        estimate,
        dice_low=low,
        iou_low=low / (2 - low),
        accuracy_low=float(np.clip(estimate.accuracy + worst, 0, estimate.accuracy)),
        area_low=max(0.0, area_low),
        area_high=min(area_high, float(estimate.pixels)),
    )


def without_bounds(estimate: ImageEstimate) -> ImageEstimate:
    """Withhold the bounds of an estimate."""
    names = ('dice_low', 'iou_low', 'accuracy_low', 'area_low', 'area_high')
    bounds: dict[str, Any] = dict.fromkeys(names, np.nan)
    return replace(estimate, **bounds)


@dataclass(frozen=True)
class ObjectTable:
    """The objects of one image with D axes.

    Attributes:
        labels (np.ndarray): int32 map of the image: 0, or the label of the object.
        label (np.ndarray): ``(O,)`` 1 to O.
        probability (np.ndarray): ``(O,)`` that the object is real; nan where the
            validation images could not tell.
        low (np.ndarray): ``(O,)`` lower end of a range of 90 % of the probability,
            where few validation objects tell it; nan elsewhere. Also ``high``.
        area (np.ndarray): ``(O,)`` pixels, of a volume voxels.
        box (np.ndarray): ``(O, D, 2)`` first and last place along each axis, inclusive.
        centre (np.ndarray): ``(O, D)`` centre of mass, in pixels.
        mean (np.ndarray): ``(O,)`` mean calibrated probability of the pixels.
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

    def without_labels(self) -> 'ObjectTable':
        """Leave the map out, for processes that send the table."""
        return replace(self, labels=np.zeros((0,) * self.labels.ndim, np.int32))


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
        boxes[row] = [(side.start, side.stop - 1) for side in box]
        own = np.argwhere(labels[box] == row + 1)
        centres[row] = own.mean(0) + boxes[row, :, 0]

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
