"""Masks and their objects: what is true of them, and what was estimated."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import ndimage

from ..common.arguments import check_array
from ..common.maps import VOLUMES, LabelledMap, kind_of
from .bins import BinTable, Columns

# Bins of equal width of the probability that an object is true.
BINS = 10
# Least share of the image that an object has, of an image and of a volume. What is
# smaller stays in the mask and is not judged.
LEAST_SHARE = {2: 1e-3, 3: 1e-6}


def find_objects(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Number the objects of a mask ``(H, W)`` or ``(D, H, W)``, from 1 on.

    An object is connected by faces. Components of less than the least share of the
    image are 0, as the background.

    Returns:
        tuple[np.ndarray, int]: int16 of the shape of the mask, int32 if it has more
        components than that counts; and the number of objects.
    """
    labels, number = _components(mask)
    area = np.bincount(labels[mask], minlength=number + 1)
    least = LEAST_SHARE[2]
    if kind_of(mask.shape) == VOLUMES:
        least = LEAST_SHARE[3]
    large = area >= least * mask.size
    large[0] = False
    if not large[1:].all():
        labels[mask] = renumbered(labels[mask], large)
    return labels, int(large.sum())


def _components(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Number all components: of a volume the numbers are what takes the memory."""
    if not mask.any():
        return np.zeros(mask.shape, np.int16), 0
    box = _box(mask)  # most of a volume is outside
    try:
        found = np.zeros(mask.shape, np.int16)
        number = ndimage.label(mask[box], output=found[box])
    except RuntimeError:  # they do not fit
        found = np.zeros(mask.shape, np.int32)
        number = ndimage.label(mask[box], output=found[box])
    return found, number


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    """The least box around a mask that is not empty."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        inside = np.flatnonzero(mask.any(others))
        box.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return tuple(box)


def renumbered(labels: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Number the objects that are kept from 1 on; the others are 0.

    ``kept`` has an entry for each number of ``labels``, and False for the background.
    """
    return np.where(kept, np.cumsum(kept), 0).astype(labels.dtype)[labels]


def is_real(foreground: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Whether more than half of the pixels of objects that are known are foreground."""
    return foreground > 0.5 * known


@dataclass(frozen=True)
class MaskTruth:
    """What labels say of a mask and of its objects.

    Attributes:
        dice (float): Dice of the mask; 1 if both are empty, 0 if one is.
        real (np.ndarray): ``(O,)`` whether each object is real.
        known (np.ndarray): ``(O,)`` whether it has a pixel that is not ignored.
        foreground (int): Pixels whose label is 1.
        predicted (int): Pixels of the mask that are not ignored.
        pixels (int): All pixels that are not ignored.
    """

    dice: float
    real: np.ndarray
    known: np.ndarray
    foreground: int
    predicted: int
    pixels: int

    @classmethod
    def of(
        cls,
        labelled: LabelledMap,
        mask: np.ndarray,
        objects: np.ndarray,
        number: int,
    ) -> 'MaskTruth':
        """Compare a mask with the labels of a map on the CPU.

        ``objects`` are the places of its objects, which are numbered from 1 to
        ``number``.
        """
        foreground = labelled.foreground.numpy()
        area = np.count_nonzero(foreground)
        # Few pixels of a volume are in its mask.
        hit = foreground[mask]
        owner = objects[mask]
        owner_of_valid = owner
        pixels = mask.size
        if labelled.valid is not None:
            is_valid = labelled.valid.numpy()
            owner_of_valid = owner[is_valid[mask]]
            pixels = int(np.count_nonzero(is_valid))

        predicted = len(owner_of_valid)
        hits = np.bincount(owner[hit], minlength=number + 1)[1:]
        known = np.bincount(owner_of_valid, minlength=number + 1)[1:]
        dice = 1.0
        if predicted + area:
            dice = 2 * np.count_nonzero(hit) / (predicted + area)
        return cls(
            dice=dice,
            real=is_real(hits, known),
            known=known > 0,
            foreground=int(area),
            predicted=predicted,
            pixels=pixels,
        )

    def pairs(self, prob: np.ndarray) -> np.ndarray:
        """``(O', 2)`` probabilities and outcomes of objects that both are known of."""
        used = self.known & ~np.isnan(prob)
        return np.stack([prob[used], self.real[used]], 1)


@dataclass(frozen=True, eq=False)
class MaskTable(Columns):
    """What was estimated of the masks p > 1/2 of I images, and what is true.

    Attributes:
        objects (list[np.ndarray]): Of each image ``(O, 2)``, the probability that each
            object is true, and 1 if it is; without objects that are ignored, and those
            of which nothing is estimated.
        dice (np.ndarray): ``(I,)``, true Dice; 1 if both masks are empty, 0 if one is.
        expected (np.ndarray): ``(I,)``, estimated Dice; nan where there is none.
        score (np.ndarray): ``(I,)``, orders images, the surest have the largest; nan
            likewise.
        foreground (np.ndarray | None): ``(I,)`` int64, pixels whose label is 1.
        predicted (np.ndarray | None): ``(I,)`` int64, pixels of the mask that are not
            ignored; beside calibrated maps, of the mask of these.
        pixels (np.ndarray | None): ``(I,)`` int64, all pixels that are not ignored.
    """

    objects: list[np.ndarray]
    dice: np.ndarray
    expected: np.ndarray
    score: np.ndarray
    foreground: Any = None
    predicted: Any = None
    pixels: Any = None

    @classmethod
    def of_image(
        cls, truth: MaskTruth, prob: np.ndarray, expected: float, score: float
    ) -> 'MaskTable':
        """Make the table of one image, whose objects are as probable as ``prob``."""
        return cls(
            [truth.pairs(prob)],
            np.array([truth.dice], float),
            np.array([expected], float),
            np.array([score], float),
            np.array([truth.foreground], np.int64),
            np.array([truth.predicted], np.int64),
            np.array([truth.pixels], np.int64),
        )

    @cached_property
    def is_empty(self) -> np.ndarray:
        """``(I,)`` whether an image with valid pixels has no foreground."""
        return (self.foreground == 0) & (self.pixels > 0)

    @cached_property
    def flat(self) -> np.ndarray:
        """``(T, 3)`` image, probability and outcome of all objects."""
        numbers = [len(rows) for rows in self.objects]
        image = np.repeat(np.arange(len(self.objects)), numbers)
        rows = np.concatenate([np.zeros((0, 2)), *self.objects])
        return np.column_stack([image, rows])

    @cached_property
    def by_probability(self) -> np.ndarray:
        """``(T, 3)`` as :attr:`flat`, by ascending probability."""
        return self.flat[np.argsort(self.flat[:, 1], kind='stable')]

    @cached_property
    def bins(self) -> BinTable:
        """``(I, 10)`` sums of objects by their probability."""
        image, prob, true = self.flat.T
        number = np.clip(np.ceil(prob * BINS) - 1, 0, BINS - 1)
        place = (image * BINS + number).astype(int)
        shape = (len(self.objects), BINS)
        size = len(self.objects) * BINS
        return BinTable(
            np.bincount(place, None, size).reshape(shape),
            np.bincount(place, true, size).reshape(shape),
            np.bincount(place, prob, size).reshape(shape),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the table by columns, as JSON can hold it; nan becomes null."""
        return {
            'objects': [rows.tolist() for rows in self.objects],
            'dice': self.dice.tolist(),
            'expected': self.expected.tolist(),
            'score': self.score.tolist(),
            'foreground': self.foreground.tolist(),
            'predicted': self.predicted.tolist(),
        }

    @classmethod
    def from_json(cls, columns: dict[str, Any], pixels: np.ndarray) -> 'MaskTable':
        """Rebuild a table, of images of so many pixels; ValueError if it is broken."""
        shape = pixels.shape
        objects = [_objects_of(rows) for rows in columns['objects']]
        if len(objects) != len(pixels):
            raise ValueError(_OBJECTS)
        expected = columns['expected']
        areas = {}
        for key in ('foreground', 'predicted'):
            areas[key] = check_array(key, columns[key], shape, int, low=0, high=pixels)
        return cls(
            objects,
            dice=check_array('dice', columns['dice'], shape, low=0, high=1),
            expected=check_array('expected', expected, shape, low=0, high=1, nan=True),
            score=check_array(
                'score', columns['score'], shape, low=-1, high=1, nan=True
            ),
            foreground=areas['foreground'],
            predicted=areas['predicted'],
            pixels=pixels,
        )


_OBJECTS = 'objects must be a list for each image, each real or not'


def _objects_of(rows: Any) -> np.ndarray:
    """Read the objects of an image: how probable each is, and whether it is real."""
    objects = check_array('objects', rows, (-1, 2), low=0, high=1)
    if not np.isin(objects[:, 1], (0, 1)).all():
        raise ValueError(_OBJECTS)
    return objects
