"""What a fit measures of each image and object, out of fold.

Counts of one group at a time are in memory; what is kept of an image is a row.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from ...common.bands import NUM_BANDS
from ...common.maps import mask_of
from ...common.options import MASKS
from ...metrics.objects import is_real
from ..curves import CELLS
from ..features import (
    IMAGE_FEATURES,
    OBJECT_FEATURES,
    UNCALIBRATED,
    UNITS,
    ImageCounts,
    accuracy_of,
    areas_of,
    domain_features,
    five_digits,
    image_features,
    object_features,
    probabilities,
    true_accuracy,
    true_dice,
)
from ..masks import MASK_KIND, dice_threshold
from ..regressions import FOLDS
from .methods import fit_curves
from .packed import PackedImages

# What an area may be expected by.
AREAS_FROM = ('calibrated', 'uncalibrated')


@dataclass(frozen=True)
class Case:
    """An image, its fold and group, and the probabilities of the other folds.

    Attributes:
        image (ImageCounts): What it holds.
        prob (np.ndarray): ``(CODES,)`` calibrated probabilities, out of fold.
        group (int): Number of its group, without gaps.
        fold (int): Where it is measured, and not fitted.
    """

    image: ImageCounts
    prob: np.ndarray
    group: int
    fold: int

    @property
    def has_mask(self) -> bool:
        """bool: Whether the network finds anything."""
        return bool(self.image.in_mask.any())

    @property
    def accuracy_error(self) -> float:
        """float: True less expected accuracy."""
        expected = accuracy_of(self.image, self.prob, valid=True)
        return true_accuracy(self.image) - expected

    def dice_of_masks(self) -> list[float]:
        """Dice of each way to cut a mask, see ``MASKS``."""
        prob = self.prob[self.image.codes]
        pixels = torch.from_numpy(self.image.pixels)
        threshold = dice_threshold(torch.from_numpy(prob), pixels)
        masks = dict(
            keep=self.image.in_mask, accuracy=mask_of(prob), dice=prob > threshold
        )
        return [true_dice(self.image, masks[way]) for way in MASKS]


def cases_of(images: PackedImages, labels: Mapping[int, np.ndarray]) -> Iterator[Case]:
    """Images by group and then by counts: in one order, however they came.

    ``labels`` are the pixels of each group, ``(NUM_BANDS, CELLS, 2)``.
    """
    groups, numbers = np.unique(images.groups, return_inverse=True)
    labels_of_folds = np.zeros((FOLDS, NUM_BANDS, CELLS, 2), np.int64)
    for number, group in enumerate(groups.tolist()):
        labels_of_folds[number % FOLDS] += labels[group]
    # As in the whole fit: all images of a patient are one case.
    folds_and_keys = np.stack([numbers % FOLDS, images.keys])
    folds_of_cases = np.unique(folds_and_keys, axis=1)[0]
    cases_of_folds = np.bincount(folds_of_cases, minlength=FOLDS)
    probs = _probabilities_without(labels_of_folds, cases_of_folds)

    rows_in_order = np.argsort(numbers, kind='stable')
    ends = np.cumsum(np.bincount(numbers))
    for group, rows in enumerate(np.split(rows_in_order, ends[:-1])):
        fold = group % FOLDS
        of_group = [images[row] for row in rows]
        of_group.sort(key=lambda image: image.counts.tobytes())
        for image in of_group:
            yield Case(image, probs[fold], group, fold)


def labels_of_groups(images: Iterable[ImageCounts]) -> dict[int, np.ndarray]:
    """``(NUM_BANDS, CELLS, 2)`` pixels of both labels of each group."""
    labels: dict[int, np.ndarray] = {}
    for image in images:
        if image.group in labels:
            labels[image.group] += image.labels
        else:
            labels[image.group] = image.labels
    return labels


def _probabilities_without(labels: np.ndarray, cases: np.ndarray) -> list[np.ndarray]:
    """``(CODES,)`` probabilities by a calibrator of the other folds, for each fold.

    ``labels`` are the pixels of each fold, ``cases`` is how many it has.
    """
    probs = []
    for fold in range(FOLDS):
        others = labels.sum(0) - labels[fold]
        prob = UNCALIBRATED
        if others[..., 1].any():
            cases_of_others = int(cases.sum() - cases[fold])
            prob = probabilities(fit_curves(others, cases_of_others, *MASK_KIND))
        probs.append(prob)
    return probs


@dataclass(frozen=True)
class ObjectRows:
    """The objects of all images, one after another.

    Attributes:
        owner (np.ndarray): ``(O,)`` row of the image that each is of.
        group (np.ndarray): ``(O,)`` its group; also ``fold``.
        features (np.ndarray): ``(O, 7)`` see :func:`object_features`.
        labels (np.ndarray): ``(O, 2)`` its pixels of both labels.
    """

    owner: np.ndarray
    group: np.ndarray
    fold: np.ndarray
    features: np.ndarray
    labels: np.ndarray

    @property
    def real(self) -> np.ndarray:
        """``(O,)`` whether an object is real."""
        return is_real(self.labels[:, 1], self.labels.sum(1))

    @property
    def labelled(self) -> np.ndarray:
        """``(O,)`` whether anything is known: not all of its pixels are ignored."""
        return self.labels.sum(1) > 0


class ImageRows:
    """A row for each of I images, in the order of :func:`cases_of`.

    Attributes:
        group (np.ndarray): ``(I,)`` number of its group, without gaps; also ``fold``.
        has_mask (np.ndarray): ``(I,)`` whether the network finds anything.
        features (np.ndarray): ``(I, 4)`` see :func:`image_features`; 0 without a mask.
        foreground (np.ndarray): ``(I,)`` pixels of label 1.
        labels_in_mask (np.ndarray): ``(I, 2)`` pixels of both labels in the mask.
        dice_of_masks (np.ndarray): ``(I, 3)`` of each way to cut a mask, see ``MASKS``.
        area (dict[str, np.ndarray]): ``(I,)`` expected areas of pixels with a label,
            by each of :data:`AREAS_FROM`.
        units (dict[str, dict[str, np.ndarray]]): What their errors may count in, by
            each of ``UNITS``.
    """

    def __init__(self, number: int) -> None:
        self.group = np.zeros(number, int)
        self.fold = np.zeros(number, int)
        self.has_mask = np.zeros(number, bool)
        self.features = np.zeros((number, len(IMAGE_FEATURES)))
        self.foreground = np.zeros(number, np.int64)
        self.labels_in_mask = np.zeros((number, 2))
        self.dice_of_masks = np.zeros((number, len(MASKS)))
        self.area: dict[str, np.ndarray] = {}
        self.units: dict[str, dict[str, np.ndarray]] = {}
        for source in AREAS_FROM:
            self.area[source] = np.zeros(number)
            self.units[source] = {unit: np.zeros(number) for unit in UNITS}
        self._num_objects = np.zeros(number, int)
        self._features_of_objects = [np.zeros((0, len(OBJECT_FEATURES)))]
        self._labels_of_objects = [np.zeros((0, 2))]

    def put(self, row: int, case: Case) -> None:
        """Measure an image and its objects."""
        image = case.image
        self.group[row] = case.group
        self.fold[row] = case.fold
        self.has_mask[row] = case.has_mask
        self.foreground[row] = image.foreground
        self.labels_in_mask[row] = image.counts[image.in_mask, :2].sum(0)
        self.dice_of_masks[row] = case.dice_of_masks()
        if case.has_mask:
            self.features[row] = image_features(image, case.prob)

        for source, prob in zip(AREAS_FROM, (case.prob, UNCALIBRATED)):
            areas = areas_of(image, prob, valid=True)
            self.area[source][row] = areas['area']
            for unit in UNITS:
                self.units[source][unit][row] = areas[unit]

        self._num_objects[row] = image.num_objects
        if image.num_objects:
            features = object_features(image, case.prob)
            self._features_of_objects.append(features)
            self._labels_of_objects.append(image.labels_of_objects())

    def __len__(self) -> int:
        return len(self.group)

    @property
    def dice(self) -> np.ndarray:
        """``(I,)`` true Dice of the mask p > 1/2."""
        return self.dice_of_masks[:, MASKS.index('keep')]

    @property
    def present(self) -> np.ndarray:
        """``(I,)`` whether an image holds anything."""
        return self.foreground > 0

    def objects(self) -> ObjectRows:
        """The objects of the images."""
        return ObjectRows(
            owner=np.repeat(np.arange(len(self)), self._num_objects),
            group=np.repeat(self.group, self._num_objects),
            fold=np.repeat(self.fold, self._num_objects),
            features=np.concatenate(self._features_of_objects),
            labels=np.concatenate(self._labels_of_objects),
        )


@dataclass(frozen=True)
class KeptImages:
    """Columns of :class:`Decisions` of the images that it keeps.

    Attributes:
        features (list[list[float]]): Domain features of each.
        dice (list[float | None]): True Dice, None without a mask.
        accuracy_errors (list[float | None]): True less expected accuracy.
        keys (list[int | None]): Number of the patient, video or place of each.
    """

    features: list[list[float]] = field(default_factory=list)
    dice: list[float | None] = field(default_factory=list)
    accuracy_errors: list[float | None] = field(default_factory=list)
    keys: list[int | None] = field(default_factory=list)

    def append(self, case: Case) -> None:
        """Keep an image."""
        dice = None
        if case.has_mask:
            dice = five_digits(true_dice(case.image))

        self.features.append(domain_features(case.image))
        self.dice.append(dice)
        self.accuracy_errors.append(five_digits(case.accuracy_error))
        self.keys.append(case.image.key)

    def groups(self) -> list[int] | None:
        """Numbers of their groups; None if each image is, or may be, on its own."""
        if None in self.keys or len(set(self.keys)) == len(self.keys):
            return None
        return np.unique(np.array(self.keys, int), return_inverse=True)[1].tolist()
