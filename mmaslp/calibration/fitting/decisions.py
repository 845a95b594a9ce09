"""Learning which masks to trust, out of fold.

Small predictions of a few features of the object, or of the image, are chosen out of
fold: for objects and areas the simplest that is no worse, for images the one of the
least error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...common.bands import NUM_BANDS
from ...common.components import is_real
from ...metrics.objects import aurc
from ..counts import ImageCounts
from ..decisions import LEVELS, Decisions, lowered, unit_of_bound
from ..features import (
    UNCALIBRATED,
    accuracy_of,
    area_of,
    image_features,
    object_features,
    probabilities,
    traits,
    true_accuracy,
    true_dice,
)
from ..maps import CELLS
from ..masks import MASK_KIND
from ..predictors import IMAGE_PREDICTORS, OBJECT_PREDICTORS, Predictor
from .methods import fit_maps
from .regressions import fit_image_predictor, fit_object_predictor
from .selection import FOLDS, OutOfFold, simplest

# Objects in all, of either kind, and images with a mask that a choice needs.
LEAST_OBJECTS = 50
LEAST_OF_A_KIND = 5
LEAST_IMAGES = 10


def fit_decisions(
    counts: Sequence[ImageCounts], windows: Sequence[ImageCounts] = ()
) -> Decisions:
    """Learn from validation images; :class:`Decisions` says what cannot be told.

    ``windows`` are windows of them without an object, which tell about empty masks.

    Groups go to five folds, as those of calibrators. Features of a fold come of a
    calibrator that was fitted to the others.
    """
    images = sorted(counts, key=lambda image: (image.group, image.counts.tobytes()))
    groups = np.unique([image.group for image in images], return_inverse=True)[1]
    folds = groups % FOLDS
    probs = _probabilities_without(images, folds)
    own = [probs[fold] for fold in folds]
    record: dict[str, Any] = {}
    objects = _fit_objects(images, own, groups, folds, record)
    of_images = _fit_images(images, own, folds, record)
    area, errors = _fit_area(images, own, groups)
    accuracy = np.array(
        [
            true_accuracy(image) - accuracy_of(image, prob, valid=True)
            for image, prob in zip(images, own)
        ]
    )

    found = sum(bool(window.in_mask.any()) for window in windows)
    if windows:
        record['windows'] = {'number': len(windows), 'found': found}
    seen = [*images, *windows]
    empty = [image for image in seen if not image.in_mask.any()]
    nothing = sum(not image.counts[:, 1].any() for image in empty)
    return Decisions(
        objects,
        **of_images,
        area=area,
        area_errors=errors,
        accuracy_errors=_quantiles(accuracy[~np.isnan(accuracy)]),
        empty=[len(empty), nothing],
        record=record,
    )


def _probabilities_without(
    images: Sequence[ImageCounts], folds: np.ndarray
) -> list[np.ndarray]:
    """``(CODES,)`` probabilities by a calibrator of the other folds, for each fold."""
    counts = np.zeros((FOLDS, NUM_BANDS, CELLS, 2), np.int64)
    for image, fold in zip(images, folds):
        counts[fold] += image.labels
    numbers = np.bincount(folds, minlength=FOLDS)
    found = []
    for fold in range(FOLDS):
        others = counts.sum(0) - counts[fold]
        number = len(images) - numbers[fold]
        known = others[..., 1].any()
        maps = fit_maps(others, number, *MASK_KIND) if known else None
        found.append(UNCALIBRATED if maps is None else probabilities(maps))
    return found


def _fit_objects(
    images: Sequence[ImageCounts],
    probs: Sequence[np.ndarray],
    groups: np.ndarray,
    folds: np.ndarray,
    record: dict[str, Any],
) -> Predictor | None:
    features = [object_features(*pair) for pair in zip(images, probs)]
    labels = np.concatenate([image.labels_of_objects() for image in images])
    numbers = [len(rows) for rows in features]
    inputs = np.concatenate(features)
    known = labels.sum(1) > 0
    real = is_real(labels[:, 1], labels.sum(1))
    own_groups = np.repeat(groups, numbers)[known]
    own_folds = np.repeat(folds, numbers)[known]
    inputs = inputs[known]
    real = real[known]
    record['objects'] = {'number': len(real), 'real': int(real.sum())}
    of_a_kind = min(real.sum(), (~real).sum())
    if len(real) < LEAST_OBJECTS or of_a_kind < LEAST_OF_A_KIND:
        return None

    found = {}
    expected = {}
    for name in OBJECT_PREDICTORS:
        prob = np.zeros(len(real))
        for fold in np.unique(own_folds):
            rest = own_folds != fold
            if len({*real[rest].tolist()}) < 2:
                return None
            model = fit_object_predictor(name, inputs[rest], real[rest])
            prob[~rest] = model(inputs[~rest])
        expected[name] = prob
        prob = np.clip(prob, 1e-6, 1 - 1e-6)
        nll = -np.log(np.where(real, prob, 1 - prob))
        losses = np.stack([nll, (prob - real) ** 2], 1)
        found[name] = OutOfFold.of_losses(losses, own_groups)

    chosen = simplest(found)
    sure = np.ones(len(known))
    sure[known] = expected[chosen]
    record['objects'] |= {
        'chosen': chosen,
        'nll': {name: float(own.metrics[0]) for name, own in found.items()},
        'left_out': _left_out(images, labels, sure >= 0.5, known),
    }
    return fit_object_predictor(chosen, inputs, real)


def _left_out(
    images: Sequence[ImageCounts],
    labels: np.ndarray,
    kept: np.ndarray,
    known: np.ndarray,
) -> dict[str, float]:
    """What leaving out improbable objects does to the Dice and to false objects."""
    false = known & ~is_real(labels[:, 1], labels.sum(1))
    before: list[float] = []
    after: list[float] = []
    start = 0
    for image in images:
        own = slice(start, start + image.num_objects)
        start = own.stop
        gone = labels[own][~kept[own]].sum(0)
        mask = image.counts[image.in_mask][:, :2].sum(0)
        foreground = image.counts[:, 1].sum()
        for found, pixels in ((before, mask), (after, mask - gone)):
            size = pixels.sum() + foreground
            found.append(2 * pixels[1] / size if size else 1.0)

    return {
        'dice_before': float(np.mean(before)),
        'dice': float(np.mean(after)),
        'false_before': int(false.sum()),
        'false': int((false & kept).sum()),
    }


def _fit_images(
    images: Sequence[ImageCounts],
    probs: Sequence[np.ndarray],
    folds: np.ndarray,
    record: dict[str, Any],
) -> dict[str, Any]:
    """Fields of :class:`Decisions` about images; those of none are left out."""
    masked = np.array([bool(image.in_mask.any()) for image in images])
    record['images'] = {'number': len(images), 'with_mask': int(masked.sum())}
    if not masked.any():
        return {}
    rows = np.flatnonzero(masked)
    inputs = np.stack([image_features(images[row], probs[row]) for row in rows])
    own = [traits(images[row], features) for row, features in zip(rows, inputs)]
    seen = np.stack([np.min(own, 0), np.max(own, 0)], 1).tolist()
    if masked.sum() < LEAST_IMAGES or len(np.unique(folds[masked])) < 2:
        return {'seen': seen}

    dice = np.array([true_dice(images[row]) for row in rows])
    found = {}
    for name in IMAGE_PREDICTORS:
        expected = np.zeros(len(rows))
        for fold in np.unique(folds[rows]):
            rest = folds[rows] != fold
            model = fit_image_predictor(name, inputs[rest], dice[rest])
            expected[~rest] = model(inputs[~rest])
        found[name] = expected

    errors = {name: np.abs(estimate - dice) for name, estimate in found.items()}
    chosen = min(errors, key=lambda name: errors[name].mean())
    risks = {name: aurc(found[name], 1 - dice) for name in IMAGE_PREDICTORS}
    score = min(IMAGE_PREDICTORS, key=risks.__getitem__)
    record['images'] |= {
        'chosen': chosen,
        'score': score,
        'error': {name: float(error.mean()) for name, error in errors.items()},
        'aurc': risks,
    }
    low, relative = _lower_bounds(found[chosen], dice)
    return {
        'image': fit_image_predictor(chosen, inputs, dice),
        'score': fit_image_predictor(score, inputs, dice),
        'low': low,
        'relative': relative,
        'bias': float((dice - found[chosen]).mean()),
        'seen': seen,
    }


def _lower_bounds(expected: np.ndarray, dice: np.ndarray) -> tuple[list[float], bool]:
    """Quantiles of the difference, as it is or relative: the narrower at 90 %."""
    ways = {}
    for relative in (False, True):
        quantiles = _quantiles((dice - expected) / unit_of_bound(expected, relative))
        low = lowered(expected, quantiles, relative, 0.9)
        ways[relative] = (float((expected - low).mean()), quantiles)
    best = min(ways, key=lambda way: ways[way][0])
    return ways[best][1], best


def _quantiles(values: np.ndarray) -> list[float]:
    """Quantiles at :data:`LEVELS`, a place further out for the image that comes."""
    if not len(values):
        return []
    values = np.sort(values)
    place = np.clip(LEVELS * (len(values) + 1) - 1, 0, len(values) - 1)
    return np.interp(place, np.arange(len(values)), values).tolist()


def _fit_area(
    images: Sequence[ImageCounts], probs: Sequence[np.ndarray], groups: np.ndarray
) -> tuple[str, list[float]]:
    """Which area is nearer to the true one, and quantiles of what it lacks."""
    truth = np.array([image.counts[:, 1].sum() for image in images], float)
    size = np.array([image.counts[:, :2].sum() for image in images], float)
    found = {
        name: np.array([area_of(*pair, name, True) for pair in zip(images, probs)])
        for name in ('count', 'mass')
    }
    lacks = {name: (truth - area) / np.maximum(size, 1) for name, area in found.items()}
    errors = {
        name: OutOfFold.of_losses(np.abs(lack)[:, None], groups)
        for name, lack in lacks.items()
    }
    chosen = simplest(errors)
    return chosen, _quantiles(lacks[chosen])
