"""Which masks to trust: the probability that an object is real, the Dice of an image.

Pixels of one object are right or wrong together, so calibrated pixels do not make
calibrated objects. Small models of a few figures of the object, or of the image, are
chosen out of fold: for objects and areas the simplest that is no worse, for images the
one of the least error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..common.bands import NUM_BANDS
from ..common.components import is_real
from ..metrics.objects import aurc
from .contents import Contents
from .features import (
    SHIPPED,
    accuracy_of,
    all_object_features,
    area_of,
    image_features,
    probabilities,
    traits,
    true_accuracy,
    true_dice,
)
from .maps import CELLS, fit_maps
from .masks import MASK_KIND
from .models import (
    IMAGE_MODELS,
    OBJECT_MODELS,
    SCORES,
    Model,
    fit_image_model,
    fit_object_model,
    predict_images,
    predict_objects,
)
from .selection import FOLDS, TIE, jackknife_error

# Objects in all, of either kind, images with a mask, and empty masks that a choice
# needs.
LEAST_OBJECTS = 50
LEAST_OF_A_KIND = 5
LEAST_IMAGES = 10
LEAST_EMPTY = 5
# Levels of the intervals that a file can give.
LEVELS = np.linspace(0, 1, 201)


@dataclass(frozen=True)
class Decisions:
    """What a fit learned about objects and images; plain values.

    Attributes:
        objects (Model | None): Probability that an object is real. None: the validation
            images cannot tell, and ``record['objects']`` says why.
        image (Model | None): Expected Dice of an image with a mask, or None.
        score (Model | None): What orders images, the most doubtful first, or None.
        low (list[float]): Quantiles of Dice minus the expected Dice, out of fold, at
            :data:`LEVELS`.
        relative (bool): Whether ``low`` are shares of what the expected Dice lacks to
            1, see :func:`unit_of_bound`.
        bias (float): Mean of Dice minus the expected Dice, out of fold: what is
            expected of an image is the median, means of many images lie lower.
        area (str): 'count' of the mask, or 'mass', the sum of the probabilities.
        area_errors (list[float]): Quantiles of the true less the expected area, as a
            share of the image, at :data:`LEVELS`.
        accuracy_errors (list[float]): Quantiles of the true less the expected accuracy,
            at :data:`LEVELS`.
        empty (list[int]): Images with an empty mask, and those of them that hold
            nothing.
        seen (list[list[float]]): Least and largest of each of :func:`traits` of the
            validation images with a mask; empty without any.
        record (dict): What the fit says of itself.
    """

    objects: Model | None = None
    image: Model | None = None
    score: Model | None = None
    low: list[float] = field(default_factory=list)
    relative: bool = False
    bias: float = 0.0
    area: str = 'count'
    area_errors: list[float] = field(default_factory=list)
    accuracy_errors: list[float] = field(default_factory=list)
    empty: list[int] = field(default_factory=lambda: [0, 0])
    seen: list[list[float]] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Give it as numbers, texts, lists and dicts."""
        plain = dict(vars(self))
        for key in ('objects', 'image', 'score'):
            model = plain[key]
            plain[key] = None if model is None else dict(vars(model))
        return plain

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Decisions:
        """Make what :meth:`to_dict` gave; ValueError if it is anything else."""
        content = dict(plain)
        names = {'objects': OBJECT_MODELS, 'image': IMAGE_MODELS, 'score': SCORES}
        try:
            for key, known in names.items():
                if content[key] is not None:
                    content[key] = _checked_model(Model(**content[key]), key, known)
            found = cls(**content)

            quantiles = (found.low, found.area_errors, found.accuracy_errors)
            numbers = [found.bias, *np.concatenate([np.zeros(0), *quantiles])]
            sizes = {*map(len, quantiles)} - {0}
            if not np.isfinite(np.array(numbers, float)).all() or sizes - {len(LEVELS)}:
                raise ValueError(f'quantiles must be {len(LEVELS)} numbers')
            ranges = np.array(found.seen, float).reshape(-1, 2)
            if len(ranges) not in (0, 4) or not (ranges[:, 0] <= ranges[:, 1]).all():
                raise ValueError('seen must be four ranges')
            images, nothing = found.empty
            if found.area not in ('count', 'mass') or not 0 <= nothing <= images:
                raise ValueError('area or empty is not known')
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise ValueError(f'decisions: {error!r}') from error
        return found


def _checked_model(model: Model, key: str, names: Sequence[str]) -> Model:
    weights = {'logistic': 2, 'features': 7, 'median': 1, 'regression': 5}
    numbers = np.array([*model.weights, *model.knots, *model.levels, model.edge], float)
    if (
        model.name not in names
        or len(model.weights) != weights.get(model.name, 0)
        or len(model.knots) != len(model.levels)
        or bool(len(model.knots)) != (model.name == 'isotonic')
        or not np.isfinite(numbers).all()
        or not 0 <= model.edge < 0.5
        or (np.diff(model.knots) <= 0).any()
    ):
        raise ValueError(f'{key} is not a model of decisions')
    return model


def fit_decisions(
    contents: Sequence[Contents], windows: Sequence[Contents] = ()
) -> Decisions:
    """Learn from validation images; :class:`Decisions` says what cannot be told.

    ``windows`` are windows of them without an object, which tell about empty masks.

    Groups go to five folds, as those of calibrators. Features of a fold come of a
    calibrator that was fitted to the others.
    """
    images = sorted(contents, key=lambda image: (image.group, image.counts.tobytes()))
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
    images: Sequence[Contents], folds: np.ndarray
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
        found.append(SHIPPED if maps is None else probabilities(maps))
    return found


def _fit_objects(
    images: Sequence[Contents],
    probs: Sequence[np.ndarray],
    groups: np.ndarray,
    folds: np.ndarray,
    record: dict[str, Any],
) -> Model | None:
    features = [all_object_features(*pair) for pair in zip(images, probs)]
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
    for name in OBJECT_MODELS:
        prob = np.zeros(len(real))
        for fold in np.unique(own_folds):
            rest = own_folds != fold
            if len({*real[rest].tolist()}) < 2:
                return None
            model = fit_object_model(name, inputs[rest], real[rest])
            prob[~rest] = predict_objects(model, inputs[~rest])
        expected[name] = prob
        prob = np.clip(prob, 1e-6, 1 - 1e-6)
        nll = -np.log(np.where(real, prob, 1 - prob))
        found[name] = np.stack([nll, (prob - real) ** 2], 1)

    chosen = _simplest(found, own_groups)
    sure = np.ones(len(known))
    sure[known] = expected[chosen]
    record['objects'] |= {
        'chosen': chosen,
        'nll': {name: float(losses[:, 0].mean()) for name, losses in found.items()},
        'left_out': _left_out(images, labels, sure >= 0.5, known),
    }
    return fit_object_model(chosen, inputs, real)


def _left_out(
    images: Sequence[Contents], labels: np.ndarray, kept: np.ndarray, known: np.ndarray
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
    images: Sequence[Contents],
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
    for name in IMAGE_MODELS:
        expected = np.zeros(len(rows))
        for fold in np.unique(folds[rows]):
            rest = folds[rows] != fold
            model = fit_image_model(name, inputs[rest], dice[rest])
            expected[~rest] = predict_images(model, inputs[~rest])
        found[name] = expected

    errors = {name: np.abs(estimate - dice) for name, estimate in found.items()}
    chosen = min(errors, key=lambda name: errors[name].mean())
    risks = {name: aurc(found[name], 1 - dice) for name in SCORES}
    score = min(SCORES, key=risks.__getitem__)
    record['images'] |= {
        'chosen': chosen,
        'score': score,
        'error': {name: float(error.mean()) for name, error in errors.items()},
        'aurc': risks,
    }
    low, relative = _lower_bounds(found[chosen], dice)
    return {
        'image': fit_image_model(chosen, inputs, dice),
        'score': fit_image_model(score, inputs, dice),
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


def unit_of_bound(expected: np.ndarray, relative: bool) -> np.ndarray:
    """What differences of Dice count in: 1, or what the expected Dice lacks to 1.02."""
    return 1.02 - expected if relative else np.ones_like(expected)


def lowered(
    expected: np.ndarray, quantiles: Sequence[float], relative: bool, level: float
) -> np.ndarray:
    """Lower bound of Dice that a share ``level`` of the images is above."""
    shift = np.interp(1 - level, LEVELS, quantiles)
    moved = expected + shift * unit_of_bound(expected, relative)
    return np.clip(moved, 0, expected)


def _quantiles(values: np.ndarray) -> list[float]:
    """Quantiles at :data:`LEVELS`, a place further out for the image that comes."""
    if not len(values):
        return []
    values = np.sort(values)
    place = np.clip(LEVELS * (len(values) + 1) - 1, 0, len(values) - 1)
    return np.interp(place, np.arange(len(values)), values).tolist()


def _fit_area(
    images: Sequence[Contents], probs: Sequence[np.ndarray], groups: np.ndarray
) -> tuple[str, list[float]]:
    """Which area is nearer to the true one, and quantiles of what it lacks."""
    truth = np.array([image.counts[:, 1].sum() for image in images], float)
    size = np.array([image.counts[:, :2].sum() for image in images], float)
    found = {
        name: np.array([area_of(*pair, name, True) for pair in zip(images, probs)])
        for name in ('count', 'mass')
    }
    lacks = {name: (truth - area) / np.maximum(size, 1) for name, area in found.items()}
    errors = {name: np.abs(lack)[:, None] for name, lack in lacks.items()}
    chosen = _simplest(errors, groups)
    return chosen, _quantiles(lacks[chosen])


def _simplest(losses: dict[str, np.ndarray], groups: np.ndarray) -> str:
    """First candidate whose losses ``(N, L)`` are all no worse than the best's.

    The best has the lowest mean of the first loss. No worse: the mean of no loss is
    more than half a standard error of the paired difference above the best's.
    """
    best = min(losses, key=lambda name: losses[name][:, 0].mean())
    for name, own in losses.items():
        more = own - losses[best]
        sums = np.stack([np.bincount(groups, column) for column in more.T], 1)
        number = np.bincount(groups)
        rest = (sums.sum(0) - sums) / np.maximum(number.sum() - number, 1)[:, None]
        if (more.mean(0) <= TIE * jackknife_error(rest[number > 0])).all():
            return name
    return best
