"""Features of objects and of images, from the counts of an image."""

from collections.abc import Sequence

import numpy as np
from scipy import special

from ..common.bands import NUM_BANDS
from .counts import CODES, ImageCounts
from .maps import CELLS, CENTRES, Knots, evaluate
from .masks import MASK_KIND

OBJECT_FEATURES = (
    'logit of the mean probability',
    'logit of the largest probability',
    'log of the share of the image',
    'deepest band',
    'log of the share of all objects',
    'log of the number of objects',
    'logit of the uncalibrated mean probability',
)
IMAGE_FEATURES = (
    'logit of the expected Dice',
    'logit of the mean probability of the mask',
    'logit of the mean confidence',
    'logit of the uncalibrated expected Dice',
)
# Units of the error of an area: the pixels of the image, or those that are expected on
# the wrong side.
UNITS = ('image', 'doubt')
# Uncertainty is 1 - |2 p - 1|: unsure are the pixels with p in [0.1, 0.9].
UNSURE = 0.2
DOMAIN_FEATURES = (
    'Soft Dice Confidence',
    'uncertainty of as many pixels as the mask has',
    'share of the mask',
    'mean probability',
    'share of unsure pixels',
    'mean confidence',
    'objects',
    'share of pixels at the border',
    'spread of the logits at the border',
)
# So many say whether one image is within the range of the fit; all compare sets.
RANGE_FEATURES = 7
UNCALIBRATED = np.tile(special.expit(CENTRES), NUM_BANDS)
_BAND_OF_CODE = np.repeat(np.arange(NUM_BANDS), CELLS)


def logit(values: np.ndarray, edge: float = 1e-6) -> np.ndarray:
    """Logits of probabilities, which stay so far from 0 and 1."""
    return special.logit(np.clip(values, edge, 1 - edge))


def probabilities(maps: Sequence[Knots]) -> np.ndarray:
    """``(CODES,)`` calibrated probability of each code, by maps of a target."""
    return special.expit(evaluate(maps, CENTRES, MASK_KIND[-1])).ravel()


def expected_dice(image: ImageCounts, prob: np.ndarray) -> float:
    r"""Soft Dice Confidence, :math:`2 \sum_{mask} p / (|mask| + \sum p)`; nan if empty.

    Source: `Borges et al. <https://arxiv.org/abs/2402.10665>`_.
    """
    mass = image.pixels * prob[image.codes]
    size = image.pixels[image.in_mask].sum()
    if not size:
        return np.nan
    return float(2 * mass[image.in_mask].sum() / (size + mass.sum()))


def object_features(image: ImageCounts, prob: np.ndarray) -> np.ndarray:
    """``(O, 7)`` features of objects, see :data:`OBJECT_FEATURES`."""
    number = image.num_objects
    area = image.sums_of_objects(np.ones(CODES))
    largest = np.zeros(number)
    deepest = np.zeros(number)
    np.maximum.at(largest, image.owners, prob[image.object_codes])
    np.maximum.at(deepest, image.owners, _BAND_OF_CODE[image.object_codes])

    columns = [
        logit(image.sums_of_objects(prob) / area),
        logit(largest),
        np.log(area / image.pixels.sum()),
        deepest,
        np.log(area / area.sum()),
        np.full(number, np.log(max(1, number))),
        logit(image.sums_of_objects(UNCALIBRATED) / area),
    ]
    return np.stack(columns, 1)


def image_features(image: ImageCounts, prob: np.ndarray) -> np.ndarray:
    """``(4,)`` features of an image with a mask, see :data:`IMAGE_FEATURES`."""
    own = prob[image.codes]
    pixels = image.pixels
    mask = image.in_mask
    mean = (pixels * own)[mask].sum() / pixels[mask].sum()
    confidence = (pixels * np.where(mask, own, 1 - own)).sum() / pixels.sum()
    first, shipped = (expected_dice(image, given) for given in (prob, UNCALIBRATED))
    return logit(np.array([first, mean, confidence, shipped]), 1e-4)


def true_dice(image: ImageCounts, inside: np.ndarray | None = None) -> float:
    """Dice of a mask of codes, by default p > 1/2, over pixels that are not ignored.

    It is 1 if nothing is there and nothing is found.
    """
    mask = image.counts[image.in_mask if inside is None else inside]
    size = mask[:, :2].sum() + image.counts[:, 1].sum()
    return float(2 * mask[:, 1].sum() / size) if size else 1.0


def accuracy_of(image: ImageCounts, prob: np.ndarray, valid: bool = False) -> float:
    """Expected share of right pixels of the mask p > 1/2; nan without pixels."""
    pixels = image.counts[:, :2].sum(1) if valid else image.pixels
    own = prob[image.codes]
    right = pixels * np.where(image.in_mask, own, 1 - own)
    return float(right.sum() / pixels.sum()) if pixels.any() else np.nan


def true_accuracy(image: ImageCounts) -> float:
    """Share of right pixels among those that are not ignored; nan without any."""
    labels = image.counts[:, :2]
    right = np.where(image.in_mask, labels[:, 1], labels[:, 0])
    return float(right.sum() / labels.sum()) if labels.any() else np.nan


def domain_features(image: ImageCounts) -> list[float]:
    """Say what kind of map it is, by :data:`DOMAIN_FEATURES`, without a calibrator."""
    prob = UNCALIBRATED[image.codes]
    pixels = image.pixels
    mask = image.in_mask
    size = pixels[mask].sum()
    uncertainty = 1 - np.abs(2 * prob - 1)

    order = np.argsort(-uncertainty, kind='stable')
    before = np.cumsum(pixels[order]) - pixels[order]
    top = np.clip(max(1, size) - before, 0, pixels[order])

    # Noise makes a border longer, blur makes it shorter and its logits alike.
    at_border = _BAND_OF_CODE[image.codes] == 0
    sums = [
        size,
        (pixels * prob).sum(),
        pixels[uncertainty > UNSURE].sum(),
        (pixels * np.where(mask, prob, 1 - prob)).sum(),
    ]
    return [
        expected_dice(image, UNCALIBRATED) if size else 0.5,
        float(top @ uncertainty[order] / top.sum()),
        *(float(total / pixels.sum()) for total in sums),
        float(image.num_objects),
        float(pixels[at_border].sum() / pixels.sum()),
        _spread(np.abs(logit(prob[at_border])), pixels[at_border]),
    ]


def _spread(values: np.ndarray, times: np.ndarray) -> float:
    """Standard deviation of values that occur so often, 0 without any."""
    total = max(1, times.sum())
    mean = times @ values / total
    return float(np.sqrt(times @ (values - mean) ** 2 / total))


def domain_inputs(features: np.ndarray) -> np.ndarray:
    """Logits of the first six of ``(..., 9)`` domain features, logs of the others."""
    shares = logit(features[..., :6], 1e-5)
    return np.concatenate([shares, np.log1p(features[..., 6:])], -1)


def area_of(
    image: ImageCounts, prob: np.ndarray, name: str = 'area', valid: bool = False
) -> float:
    """Expected pixels of foreground, or what its error counts in: see :data:`UNITS`."""
    pixels = image.counts[:, :2].sum(1) if valid else image.pixels
    own = prob[image.codes]
    values = {
        'area': own,
        'image': np.ones_like(own),
        'doubt': np.minimum(own, 1 - own),
    }
    return float(pixels @ values[name])
