"""Features of objects and of images, from the counts of an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..common.bands import NUM_BANDS
from .contents import CODES, Contents
from .maps import CELLS, CENTRES, Knots, evaluate
from .masks import MASK_KIND

OBJECT_FEATURES = (
    'logit of the mean probability',
    'logit of the largest probability',
    'log of the share of the image',
    'deepest band',
    'log of the share of all objects',
    'log of the number of objects',
)
IMAGE_FEATURES = (
    'logit of the expected Dice',
    'logit of the mean probability of the mask',
    'logit of the mean confidence',
    'logit of the expected Dice as shipped',
)
SHIPPED = np.tile(1 / (1 + np.exp(-CENTRES)), NUM_BANDS)
_BAND_OF_CODE = np.repeat(np.arange(NUM_BANDS), CELLS)


def logit(values: np.ndarray, edge: float = 1e-6) -> np.ndarray:
    """Logits of probabilities, which stay so far from 0 and 1."""
    values = np.clip(values, edge, 1 - edge)
    return np.log(values / (1 - values))


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Probabilities of logits."""
    return 1 / (1 + np.exp(-np.clip(values, -500, 500)))


def probabilities(maps: Sequence[Knots]) -> np.ndarray:
    """``(CODES,)`` calibrated probability of each code, by maps of a target."""
    return sigmoid(evaluate(maps, CENTRES, MASK_KIND[-1])).ravel()


def expected_dice(contents: Contents, prob: np.ndarray) -> float:
    r"""Soft Dice Confidence, :math:`2 \sum_{mask} p / (|mask| + \sum p)`; nan if empty.

    Source: `Borges et al. <https://arxiv.org/abs/2402.10665>`_.
    """
    mass = contents.pixels * prob[contents.codes]
    size = contents.pixels[contents.in_mask].sum()
    if not size:
        return np.nan
    return float(2 * mass[contents.in_mask].sum() / (size + mass.sum()))


def object_features(contents: Contents, prob: np.ndarray) -> np.ndarray:
    """``(O, 6)`` features of objects, see :data:`OBJECT_FEATURES`."""
    if not contents.num_objects:
        return np.zeros((0, len(OBJECT_FEATURES)))
    area = contents.sums_of_objects(np.ones(CODES))
    largest = np.zeros(contents.num_objects)
    deepest = np.zeros(contents.num_objects)
    np.maximum.at(largest, contents.owners, prob[contents.object_codes])
    np.maximum.at(deepest, contents.owners, _BAND_OF_CODE[contents.object_codes])

    return np.stack(
        [
            _mean_logits(contents, prob),
            logit(largest),
            np.log(area / contents.pixels.sum()),
            deepest,
            np.log(area / area.sum()),
            np.full(len(area), np.log(len(area))),
        ],
        1,
    )


def _mean_logits(contents: Contents, prob: np.ndarray) -> np.ndarray:
    area = contents.sums_of_objects(np.ones(CODES))
    return logit(contents.sums_of_objects(prob) / area)


def all_object_features(contents: Contents, prob: np.ndarray) -> np.ndarray:
    """``(O, 7)``: calibrated features, then the logit of the shipped mean."""
    shipped = _mean_logits(contents, SHIPPED)
    return np.column_stack([object_features(contents, prob), shipped])


def image_features(contents: Contents, prob: np.ndarray) -> np.ndarray:
    """``(4,)`` features of an image with a mask, see :data:`IMAGE_FEATURES`."""
    own = prob[contents.codes]
    pixels = contents.pixels
    mask = contents.in_mask
    mean = (pixels * own)[mask].sum() / pixels[mask].sum()
    confidence = (pixels * np.where(mask, own, 1 - own)).sum() / pixels.sum()
    first, shipped = (expected_dice(contents, given) for given in (prob, SHIPPED))
    return logit(np.array([first, mean, confidence, shipped]), 1e-4)


def true_dice(contents: Contents) -> float:
    """Dice of the mask p > 1/2 over the pixels that are not ignored; 1 if both lack."""
    mask = contents.counts[contents.in_mask]
    size = mask[:, :2].sum() + contents.counts[:, 1].sum()
    return float(2 * mask[:, 1].sum() / size) if size else 1.0


def accuracy_of(contents: Contents, prob: np.ndarray, valid: bool = False) -> float:
    """Expected share of right pixels of the mask p > 1/2; nan without pixels."""
    pixels = contents.counts[:, :2].sum(1) if valid else contents.pixels
    own = prob[contents.codes]
    right = pixels * np.where(contents.in_mask, own, 1 - own)
    return float(right.sum() / pixels.sum()) if pixels.any() else np.nan


def true_accuracy(contents: Contents) -> float:
    """Share of right pixels among those that are not ignored; nan without any."""
    labels = contents.counts[:, :2]
    right = np.where(contents.in_mask, labels[:, 1], labels[:, 0])
    return float(right.sum() / labels.sum()) if labels.any() else np.nan


def traits(contents: Contents, features: np.ndarray) -> np.ndarray:
    """``(4,)``: calibrated features of an image, and the logit of its mask's share."""
    share = contents.pixels[contents.in_mask].sum() / contents.pixels.sum()
    return np.append(features[:-1], logit(np.array([share]), 1e-6))


def area_of(
    contents: Contents, prob: np.ndarray, name: str, valid: bool = False
) -> float:
    """Pixels of foreground: those of the mask, or the sum of the probabilities."""
    pixels = contents.counts[:, :2].sum(1) if valid else contents.pixels
    if name == 'count':
        return float(pixels[contents.in_mask].sum())
    return float((pixels * prob[contents.codes]).sum())
