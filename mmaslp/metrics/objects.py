"""Masks and their objects: what is true of them, and what was estimated."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ..common.arrays import known_pixels
from ..common.components import is_real
from .bins import BinTable, Columns

# Bins of equal width of the probability that an object is true.
BINS = 10


@dataclass(frozen=True)
class MaskTruth:
    """What labels say of a mask and of its objects.

    Attributes:
        dice (float): Dice of the mask; 1 if both are empty, 0 if one is.
        real (np.ndarray): ``(O,)`` whether each object is real.
        known (np.ndarray): ``(O,)`` whether it has a pixel that is not ignored.
        pixels (int): Pixels of foreground.
        predicted (int): Pixels of the mask that are not ignored.
        valid (int): All pixels that are not ignored.
    """

    dice: float
    real: np.ndarray
    known: np.ndarray
    pixels: int
    predicted: int
    valid: int

    @classmethod
    def of(
        cls,
        mask: np.ndarray,
        labels: np.ndarray,
        objects: np.ndarray,
        number: int,
        ignore_index: int | None = 255,
    ) -> 'MaskTruth':
        """Compare a mask, and its objects that are numbered from 1 on, with labels."""
        labels = labels.reshape(mask.shape)
        foreground = np.count_nonzero(labels == 1)
        # Few pixels of a volume are in its mask.
        inside = labels[mask]
        valid = known_pixels(torch.from_numpy(inside), ignore_index).numpy()
        both = np.count_nonzero(inside == 1)
        predicted = np.count_nonzero(valid)
        size = predicted + foreground

        owner = objects[mask]
        hits, pixels = (
            np.bincount(owner[kind], minlength=number + 1)[1:]
            for kind in (inside == 1, valid)
        )
        return cls(
            2 * both / size if size else 1.0,
            is_real(hits, pixels),
            pixels > 0,
            int(foreground),
            int(predicted),
            int(known_pixels(torch.from_numpy(labels), ignore_index).sum()),
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
            ignored.
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
            np.array([truth.pixels], np.int64),
            np.array([truth.predicted], np.int64),
            np.array([truth.valid], np.int64),
        )

    @cached_property
    def has_estimate(self) -> np.ndarray:
        """``(I,)`` whether a Dice was estimated."""
        return ~np.isnan(self.expected)

    @cached_property
    def flat(self) -> np.ndarray:
        """``(T, 3)`` image, probability and outcome of all objects."""
        image = np.repeat(np.arange(len(self.objects)), [*map(len, self.objects)])
        rows = np.concatenate([np.zeros((0, 2)), *self.objects])
        return np.column_stack([image, rows])

    @cached_property
    def bins(self) -> BinTable:
        """``(I, 10)`` sums of objects by their probability."""
        image, prob, true = self.flat.T
        number = np.clip(np.ceil(prob * BINS) - 1, 0, BINS - 1)
        place = (image * BINS + number).astype(int)
        shape = (len(self.objects), BINS)
        count, correct, conf = (
            np.bincount(place, weights, shape[0] * BINS).reshape(shape)
            for weights in (None, true, prob)
        )
        return BinTable(count, correct, conf)

    def to_json(self) -> dict[str, Any]:
        """Return the table by columns, as JSON can hold it; nan becomes null."""
        return {
            'objects': [rows.tolist() for rows in self.objects],
            **{key: getattr(self, key).tolist() for key in (*_ESTIMATES, *_PIXELS)},
        }

    @classmethod
    def from_json(cls, columns: dict[str, Any], pixels: np.ndarray) -> 'MaskTable':
        """Rebuild a table, of images of so many pixels; ValueError if it is broken."""
        objects = [np.array(rows, float).reshape(-1, 2) for rows in columns['objects']]
        estimates = [np.array(columns[key], float) for key in _ESTIMATES]
        counts = [np.array(columns[key], np.int64) for key in _PIXELS]

        parts: tuple[Any, ...] = (objects, *estimates, *counts)
        if {*map(len, parts)} != {len(pixels)}:
            raise ValueError('the masks of the image table do not fit it')
        shares = np.concatenate([rows.ravel() for rows in (*objects, *estimates[:2])])
        outcomes = np.concatenate([rows[:, 1] for rows in [*objects, np.zeros((0, 2))]])
        fits = (shares >= 0) & (shares <= 1) | np.isnan(shares)
        if not fits.all() or not np.isin(outcomes, (0, 1)).all():
            raise ValueError(
                'the masks of the image table do not lie in [0, 1], or an object is '
                'neither real nor not'
            )
        if not all(((part >= 0) & (part <= pixels)).all() for part in counts):
            raise ValueError('a mask of the image table has more pixels than its image')
        return cls(objects, *(*estimates, *counts), pixels)  # type: ignore[call-arg]


_ESTIMATES = ('dice', 'expected', 'score')
_PIXELS = ('foreground', 'predicted')
