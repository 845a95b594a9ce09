"""What to expect of an image and its objects."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from .counts import CODES, ImageCounts
from .decisions import LEAST_EMPTY, LEVELS, Decisions, lowered
from .features import (
    accuracy_of,
    area_of,
    expected_dice,
    image_features,
    object_features,
    traits,
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
        objects (int): Number of objects found.
        score (float): Orders images: the most doubtful have the least.
        level (float): Of the bounds.
        unlike (bool): Whether the image lies outside of what the fit has seen, by half
            of the range: do not trust the numbers then.
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
    objects: int
    score: float
    level: float
    unlike: bool


def estimate_image(
    decisions: Decisions, image: ImageCounts, prob: np.ndarray, level: float = 0.9
) -> ImageEstimate:
    """Say what to expect of an image, by ``(CODES,)`` calibrated probabilities."""
    size = image.pixels.sum()
    if image.in_mask.any():
        features = image_features(image, prob)
        dice, low, score = _expected(decisions, features, level)
        if np.isnan(score):  # an order holds also where no Dice can be told
            score = expected_dice(image, prob)
        unlike = _unlike(decisions, traits(image, features))
    else:
        dice, low, score = _expected_of_empty(decisions, level)
        unlike = not decisions.empty[0]

    accuracy = accuracy_of(image, prob)
    lower = np.nan
    if decisions.accuracy_errors:
        lower = np.interp(1 - level, LEVELS, decisions.accuracy_errors)

    area = area_of(image, prob, decisions.area)
    ends = (area, area)
    if decisions.area_errors:
        tails = [(1 - level) / 2, (1 + level) / 2]
        moved = np.interp(tails, LEVELS, decisions.area_errors) * size + area
        ends = tuple(np.clip(moved, 0, size).tolist())
    return ImageEstimate(
        dice=dice,
        dice_low=low,
        iou=dice / (2 - dice),
        iou_low=low / (2 - low),
        accuracy=accuracy,
        accuracy_low=float(np.clip(accuracy + lower, 0, accuracy)),
        area=area,
        area_low=ends[0],
        area_high=ends[1],
        objects=image.num_objects,
        score=score,
        level=level,
        unlike=unlike,
    )


def _unlike(decisions: Decisions, own: np.ndarray) -> bool:
    if not decisions.seen:
        return True
    low, high = np.array(decisions.seen).T
    margin = (high - low) / 2
    return bool(((own < low - margin) | (own > high + margin)).any())


def _expected(
    decisions: Decisions, features: np.ndarray, level: float
) -> tuple[float, float, float]:
    """Expected Dice of an image with a mask, its lower bound and the score."""
    if decisions.image is None or decisions.score is None:
        return np.nan, np.nan, np.nan
    expected = decisions.image(features[None])
    low = lowered(expected, decisions.low, decisions.relative, level)
    score = decisions.score(features[None])
    return float(expected[0]), float(low[0]), float(score[0])


def _expected_of_empty(
    decisions: Decisions, level: float
) -> tuple[float, float, float]:
    """The same of an image with an empty mask: it is right if nothing is there."""
    images, nothing = decisions.empty
    if images < LEAST_EMPTY:
        return np.nan, np.nan, np.nan
    chance = (nothing + 0.5) / (images + 1)
    return chance, float(chance >= level) * chance, chance


@dataclass(frozen=True)
class ObjectTable:
    """The objects of one image with D axes.

    Attributes:
        labels (np.ndarray): int32 map of the image: 0, or the label of the object.
        label (np.ndarray): ``(O,)`` 1 to O.
        probability (np.ndarray): ``(O,)`` that the object is real; nan where the
            validation images could not tell.
        area (np.ndarray): ``(O,)`` pixels, of a volume voxels.
        box (np.ndarray): ``(O, D, 2)`` first and last place along each axis, inclusive.
        centre (np.ndarray): ``(O, D)`` centre of mass, in pixels.
        mean (np.ndarray): ``(O,)`` mean calibrated probability of the pixels.
    """

    labels: np.ndarray
    label: np.ndarray
    probability: np.ndarray
    area: np.ndarray
    box: np.ndarray
    centre: np.ndarray
    mean: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def without_labels(self) -> ObjectTable:
        """Leave the map out, for processes that send the table."""
        return replace(self, labels=np.zeros((0,) * self.labels.ndim, np.int32))


def table_of_objects(
    decisions: Decisions, image: ImageCounts, prob: np.ndarray, labels: np.ndarray
) -> ObjectTable:
    """Put the objects of an image together, by ``(CODES,)`` probabilities."""
    number = image.num_objects
    features = object_features(image, prob)
    probability = np.full(number, np.nan)
    if decisions.objects is not None and number:
        probability = decisions.objects(features)

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
        area=area.astype(np.int64),
        box=boxes,
        centre=centres,
        mean=image.sums_of_objects(prob) / np.maximum(area, 1),
    )
