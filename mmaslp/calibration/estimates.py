"""What is told of an image and its objects, and in words of what was learned."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from .contents import CODES, Contents
from .decisions import LEAST_EMPTY, LEVELS, Decisions, lowered
from .features import (
    IMAGE_FEATURES,
    OBJECT_FEATURES,
    accuracy_of,
    all_object_features,
    area_of,
    expected_dice,
    image_features,
    traits,
)
from .models import predict_images, predict_objects

_OBJECTS = {
    'shipped': 'the mean probability as it is',
    'calibrated': 'the mean calibrated probability',
    'logistic': 'a logistic regression of the mean probability',
    'isotonic': 'an isotonic regression of the mean probability',
    'features': f'a logistic regression of {len(OBJECT_FEATURES)} features',
}
_IMAGES = {
    'shipped': 'the probabilities as they are',
    'calibrated': 'the calibrated probabilities',
    'median': 'the median of the images',
    'regression': f'a regression of {len(IMAGE_FEATURES)} features',
}
# Share of object-free windows in which something is found, from which on a training
# with such windows pays: docs/windows.md has the measurements.
WINDOWS_NEEDED = 0.05


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
    decisions: Decisions, contents: Contents, prob: np.ndarray, level: float = 0.9
) -> ImageEstimate:
    """Say what to expect of an image, by ``(CODES,)`` calibrated probabilities."""
    size = contents.pixels.sum()
    if contents.in_mask.any():
        features = image_features(contents, prob)
        dice, low, score = _expected(decisions, features, level)
        if np.isnan(score):  # an order holds also where no Dice can be told
            score = expected_dice(contents, prob)
        unlike = _unlike(decisions, traits(contents, features))
    else:
        dice, low, score = _expected_of_empty(decisions, level)
        unlike = not decisions.empty[0]

    accuracy = accuracy_of(contents, prob)
    lower = np.nan
    if decisions.accuracy_errors:
        lower = np.interp(1 - level, LEVELS, decisions.accuracy_errors)

    area = area_of(contents, prob, decisions.area)
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
        objects=contents.num_objects,
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
    expected = predict_images(decisions.image, features[None])
    low = lowered(expected, decisions.low, decisions.relative, level)
    score = predict_images(decisions.score, features[None])
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
    decisions: Decisions, contents: Contents, prob: np.ndarray, labels: np.ndarray
) -> ObjectTable:
    """Put the objects of an image together, by ``(CODES,)`` probabilities."""
    number = contents.num_objects
    features = all_object_features(contents, prob)
    probability = np.full(number, np.nan)
    if decisions.objects is not None and number:
        probability = predict_objects(decisions.objects, features)

    boxes = np.zeros((number, labels.ndim, 2), np.int64)
    centres = np.zeros((number, labels.ndim))
    for row, box in enumerate(ndimage.find_objects(labels, number)):
        boxes[row] = [(side.start, side.stop - 1) for side in box]
        own = np.argwhere(labels[box] == row + 1)
        centres[row] = own.mean(0) + boxes[row, :, 0]

    area = contents.sums_of_objects(np.ones(CODES))
    return ObjectTable(
        labels=labels,
        label=np.arange(1, number + 1),
        probability=probability,
        area=area.astype(np.int64),
        box=boxes,
        centre=centres,
        mean=contents.sums_of_objects(prob) / np.maximum(area, 1),
    )


def decisions_in_words(decisions: Decisions) -> list[str]:
    """Say what was learned of objects and images, and what cannot be told."""
    objects = decisions.record.get('objects', {})
    images = decisions.record.get('images', {})
    number = (
        f'{objects.get("number", 0)} objects, {objects.get("real", 0)} of them real'
    )
    if decisions.objects is None:
        lines = [f'Objects: {number}: they cannot tell which objects are real.']
    else:
        chosen = objects['chosen']
        left = objects['left_out']
        lines = [
            f'Objects: {number}. Whether one is real: {_OBJECTS[chosen]} '
            f'(NLL {objects["nll"][chosen]:.3f}; as shipped '
            f'{objects["nll"]["shipped"]:.3f}).',
            f'apply --least-object 0.5 would leave {left["false"]} of '
            f'{left["false_before"]} false objects, and move the mean Dice from '
            f'{left["dice_before"]:.4f} to {left["dice"]:.4f}.',
        ]

    number = f'{images.get("with_mask", 0)} images with an object found'
    if decisions.image is None:
        lines.append(f'Images: {number}: they cannot tell the Dice of an image.')
    else:
        chosen = images['chosen']
        lines.append(
            f'Images: {number}. Expected Dice: {_IMAGES[chosen]} (mean error '
            f'{images["error"][chosen]:.3f}; as shipped '
            f'{images["error"]["shipped"]:.3f}; one value for all '
            f'{images["error"]["median"]:.3f}).'
        )

    empty, nothing = decisions.empty
    found = f'{empty} images without an object found, {nothing} of them hold none'
    known = '' if empty >= LEAST_EMPTY else ': they cannot tell about such images'
    lines.append(f'Empty masks: {found}{known}.')
    if windows := decisions.record.get('windows'):
        number = windows['number']
        advice = 'object-free windows in the training would not change that'
        if windows['found'] >= WINDOWS_NEEDED * number:
            advice = 'train with ObjectFreeCrop to change that (docs/windows.md)'
        lines.append(
            f'Windows without an object: {number}, something is found in '
            f'{windows["found"]} of them; {advice}.'
        )
    return lines
