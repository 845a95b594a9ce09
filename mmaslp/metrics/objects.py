"""What was said of masks and their objects, and what is true: sums and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from ..common.arrays import (
    as_floats,
    as_tensor,
    checked,
    known_pixels,
    matched,
    split_labels,
)
from ..common.components import find_objects, is_real
from .bins import BinTable, ratio

# What was said, of a file; null is nan.
_SAID = ('expected', 'score')
# Bins of equal width of the probability that an object is real.
BINS = 10


@dataclass(frozen=True)
class MaskScores:
    """What was said of the mask p > 1/2 of one image, and what is true.

    Attributes:
        objects (np.ndarray): ``(O, 2)`` probability that each object is real, and 1 if
            it is; without objects that are ignored, and those of which nothing is said.
        dice (float): That of the mask; 1 if both masks are empty, 0 if one is.
        expected (float): The Dice that was expected; nan where nothing is said.
        score (float): What orders images, the surest have the largest; nan likewise.
    """

    objects: np.ndarray
    dice: float
    expected: float
    score: float


def mended(values: Tensor, known: Tensor, logits: bool = False) -> Tensor:
    """Put 0 where a pixel is ignored and its value cannot be used."""
    if known.all():
        return values
    usable = ~values.isnan() if logits else (values >= 0) & (values <= 1)
    return values.masked_fill(~(usable | known), 0.0)


def images_of(
    prob: Tensor | np.ndarray, label: Tensor | np.ndarray, ignore_index: int | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Maps and labels, image by image."""
    maps = as_floats(prob)
    labels = as_tensor(label, 'label')
    maps = matched(maps, labels)
    split_labels(labels, -1 if ignore_index is None else ignore_index)
    has_channel = maps.dim() > 3 and maps.shape == prob.shape
    if maps.dim() not in (2, 3, 4, 5) or (has_channel and maps.shape[1] != 1):
        raise ValueError(
            'give maps of one channel, (N, H, W), (N, 1, H, W) or (N, 1, D, H, W), not '
            f'{tuple(prob.shape)}'
        )
    if has_channel:
        return zip(maps[:, 0], labels[:, 0])
    return zip(maps[None], labels[None]) if maps.dim() == 2 else zip(maps, labels)


def mask_scores(
    prob: Tensor | np.ndarray,
    label: Tensor | np.ndarray,
    ignore_index: int | None = 255,
) -> MaskScores:
    """Score one map ``(H, W)`` or ``(D, H, W)`` by what its probabilities say.

    An object is as probable as the mean of its pixels. The expected Dice, and what
    orders images, is the Soft Dice Confidence, which says nothing of an empty mask.
    Source: `Borges et al. <https://arxiv.org/abs/2402.10665>`_.
    """
    given = as_floats(prob).cpu()
    labels = as_tensor(label, 'label').cpu().reshape(given.shape)
    known = known_pixels(labels, ignore_index)
    values = checked(mended(given, known)).numpy()
    valid = True if known.all() else known.numpy()
    del known  # of a volume it is large
    mask = values > 0.5
    found, number = find_objects(mask)

    # Few pixels of a volume are in its mask.
    inside = values[mask]
    owner = found[mask]
    pixels = np.bincount(owner, minlength=number + 1)[1:]
    mass = np.bincount(owner, inside, number + 1)[1:]

    valid_inside = np.broadcast_to(valid, mask.shape)[mask]
    size = np.count_nonzero(valid_inside)
    expected = np.nan
    if size:
        own = inside.sum(where=valid_inside, dtype=np.float64)
        expected = 2 * own / (size + values.sum(where=valid, dtype=np.float64))
    truth = MaskTruth.of(mask, labels.numpy(), found, number, ignore_index)
    said = float(expected)
    return MaskScores(truth.pairs(mass / pixels), truth.dice, said, said)


@dataclass(frozen=True)
class MaskTruth:
    """What labels say of a mask and of its objects.

    Attributes:
        dice (float): Dice of the mask; 1 if both are empty, 0 if one is.
        real (np.ndarray): ``(O,)`` whether each object is real.
        known (np.ndarray): ``(O,)`` whether it has a pixel that is not ignored.
        pixels (int): Pixels of foreground.
    """

    dice: float
    real: np.ndarray
    known: np.ndarray
    pixels: int

    @classmethod
    def of(
        cls,
        mask: np.ndarray,
        labels: np.ndarray,
        objects: np.ndarray,
        number: int,
        ignore_index: int | None = 255,
    ) -> MaskTruth:
        """Compare a mask, and its objects that are numbered from 1 on, with labels."""
        labels = labels.reshape(mask.shape)
        foreground = np.count_nonzero(labels == 1)
        # Few pixels of a volume are in its mask.
        inside = labels[mask]
        valid = known_pixels(torch.from_numpy(inside), ignore_index).numpy()
        both = np.count_nonzero(inside == 1)
        size = np.count_nonzero(valid) + foreground

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
        )

    def pairs(self, prob: np.ndarray) -> np.ndarray:
        """``(O', 2)`` probabilities and outcomes of objects that both are known of."""
        used = self.known & ~np.isnan(prob)
        return np.stack([prob[used], self.real[used]], 1)


@dataclass(frozen=True, eq=False)
class MaskTable:
    """What was said of the masks of I images.

    Attributes:
        objects (list[np.ndarray]): Of each image, see :class:`MaskScores`.
        dice (np.ndarray): ``(I,)``; also ``expected`` and ``score``, nan where nothing
            is said.
    """

    objects: list[np.ndarray]
    dice: np.ndarray
    expected: np.ndarray
    score: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[MaskScores]) -> MaskTable:
        """Stack the scores of images."""
        return cls(
            [row.objects for row in rows],
            np.array([row.dice for row in rows], float),
            np.array([row.expected for row in rows], float),
            np.array([row.score for row in rows], float),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the table by columns, as JSON can hold it; nan becomes null."""
        return {
            'objects': [rows.tolist() for rows in self.objects],
            **{key: getattr(self, key).tolist() for key in ('dice', *_SAID)},
        }

    @classmethod
    def from_json(cls, columns: dict[str, Any], images: int) -> MaskTable:
        """Rebuild a table of :meth:`to_json`; ValueError if it does not fit."""
        objects = [np.array(rows, float).reshape(-1, 2) for rows in columns['objects']]
        dice, expected, score = (
            np.array(columns[key], float) for key in ('dice', *_SAID)
        )
        values = np.concatenate([dice, *(rows.ravel() for rows in objects)])
        sizes = {len(objects), *(len(column) for column in (dice, expected, score))}
        if sizes != {images} or not ((values >= 0) & (values <= 1)).all():
            raise ValueError('the scores of the image table do not fit it')
        return cls(objects, dice, expected, score)

    def take(self, rows: np.ndarray) -> MaskTable:
        """Return the table of some images, in the given order."""
        objects = [self.objects[row] for row in rows]
        return MaskTable(
            objects, self.dice[rows], self.expected[rows], self.score[rows]
        )

    @cached_property
    def told(self) -> np.ndarray:
        """``(I,)`` whether a Dice was expected."""
        return ~np.isnan(self.expected)

    @cached_property
    def flat(self) -> np.ndarray:
        """``(T, 3)`` image, probability and outcome of all objects."""
        owner = np.repeat(np.arange(len(self.objects)), [*map(len, self.objects)])
        rows = np.concatenate([np.zeros((0, 2)), *self.objects])
        return np.column_stack([owner, rows])

    @cached_property
    def bins(self) -> BinTable:
        """``(I, 10)`` sums of objects by their probability."""
        owner, prob, real = self.flat.T
        number = np.clip(np.ceil(prob * BINS) - 1, 0, BINS - 1)
        place = (owner * BINS + number).astype(int)
        shape = (len(self.objects), BINS)
        count, correct, conf = (
            np.bincount(place, weights, shape[0] * BINS).reshape(shape)
            for weights in (None, real, prob)
        )
        return BinTable(count, correct, conf)


def object_auroc(
    table: MaskTable, weights: np.ndarray | None = None
) -> float | np.ndarray:
    """How often a real object has the larger probability than another; a tie is half.

    ``weights`` ``(R, I)`` are how often each resample holds each image; then ``(R,)``.
    """
    owner, prob, real = table.flat.T
    levels, place = np.unique(prob, return_inverse=True)
    images = len(table.objects)
    shape = (images, len(levels))
    drawn = np.ones((1, images)) if weights is None else weights
    positive, negative = (
        drawn @ csr_array((kind, (owner.astype(int), place)), shape=shape)
        for kind in (real, 1 - real)
    )
    below = np.cumsum(negative, 1) - negative
    pairs = positive.sum(1) * negative.sum(1)
    found = ratio((positive * (below + negative / 2)).sum(1), pairs)
    return float(found[0]) if weights is None else found


def object_nll(
    table: MaskTable, weights: np.ndarray | None = None
) -> float | np.ndarray:
    """Mean negative log-likelihood of whether objects are real, p clamped at 1e-6."""
    owner, prob, real = table.flat.T
    inside = np.clip(prob, 1e-6, 1 - 1e-6)
    loss = -np.log(np.where(real == 1, inside, 1 - inside))
    images = len(table.objects)
    drawn = np.ones(images) if weights is None else weights
    total = np.bincount(owner.astype(int), loss, images)
    number = np.bincount(owner.astype(int), minlength=images)
    return ratio(drawn @ total, drawn @ number)


def dice_error(
    table: MaskTable, weights: np.ndarray | None = None
) -> float | np.ndarray:
    """Mean absolute error of the expected Dice, over images of which one was said."""
    drawn = np.ones(len(table.dice)) if weights is None else weights
    apart = np.where(table.told, np.abs(table.expected - table.dice), 0)
    return ratio(drawn @ apart, drawn @ table.told)


def aurc(score: np.ndarray, risk: np.ndarray) -> float:
    """Area under the risk-coverage curve: mean risk of the surest images, averaged.

    Source: `Geifman et al. <https://arxiv.org/abs/1805.08206>`_.
    """
    order = np.argsort(-np.asarray(score), kind='stable')
    return float(_area(np.asarray(risk)[order]))


def aurc_of(table: MaskTable, weights: np.ndarray | None = None) -> float | np.ndarray:
    """:func:`aurc` of the images of which a Dice was said; the risk is 1 - Dice."""
    known = np.flatnonzero(table.told)
    order = known[np.argsort(-table.score[known], kind='stable')]
    risk = 1 - table.dice[order]
    if weights is None:
        return float(_area(risk))
    times = np.asarray(weights)[:, order].astype(int)
    return np.array([_area(np.repeat(risk, row)) for row in times])


def _area(risk: np.ndarray) -> float:
    if not len(risk):
        return np.nan
    return (np.cumsum(risk) / np.arange(1, len(risk) + 1)).mean()
