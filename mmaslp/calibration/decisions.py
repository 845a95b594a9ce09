"""Which masks to trust: the probability that an object is real, the Dice of an image.

Pixels of one object are right or wrong together, so calibrated pixels do not make
calibrated objects. Small models of a few figures of the object, or of the image, are
chosen out of fold: for objects and areas the simplest that is no worse, for images the
one of the least error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.optimize import isotonic_regression, minimize

from ..common.bands import NUM_BANDS
from ..common.components import is_real
from ..metrics.objects import aurc
from .contents import CODES, Contents
from .maps import CELLS, CENTRES, Knots, evaluate, fit_maps
from .masks import MASK_KIND
from .selection import FOLDS, TIE, jackknife_error

# Objects in all, of either kind, images with a mask, and empty masks that a choice
# needs.
LEAST_OBJECTS = 50
LEAST_OF_A_KIND = 5
LEAST_IMAGES = 10
LEAST_EMPTY = 5
# Share of object-free windows in which something is found, from which on a training
# with such windows pays: docs/windows.md has the measurements.
WINDOWS_NEEDED = 0.05
# Weight of the squared distance of coefficients, of standardised features, from those
# that leave a probability as it is.
PENALTY = 3.0
# Residuals of a logit above this count by their size, below by their square.
ROUND = 0.1
# Dice and probabilities stay so far from 0 and 1 where their logit is taken.
EDGE = 0.005
# Levels of the intervals that a file can give.
LEVELS = np.linspace(0, 1, 201)
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
_SHIPPED = np.tile(1 / (1 + np.exp(-CENTRES)), NUM_BANDS)
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
            logit(contents.sums_of_objects(prob) / area),
            logit(largest),
            np.log(area / contents.pixels.sum()),
            deepest,
            np.log(area / area.sum()),
            np.full(len(area), np.log(len(area))),
        ],
        1,
    )


def image_features(contents: Contents, prob: np.ndarray) -> np.ndarray:
    """``(4,)`` features of an image with a mask, see :data:`IMAGE_FEATURES`."""
    own = prob[contents.codes]
    pixels = contents.pixels
    mask = contents.in_mask
    mean = (pixels * own)[mask].sum() / pixels[mask].sum()
    confidence = (pixels * np.where(mask, own, 1 - own)).sum() / pixels.sum()
    first, shipped = (expected_dice(contents, given) for given in (prob, _SHIPPED))
    return logit(np.array([first, mean, confidence, shipped]), 1e-4)


def true_dice(contents: Contents) -> float:
    """Dice of the mask p > 1/2 over the pixels that are not ignored; 1 if both lack."""
    mask = contents.counts[contents.in_mask]
    size = mask[:, :2].sum() + contents.counts[:, 1].sum()
    return float(2 * mask[:, 1].sum() / size) if size else 1.0


# ---- models: a name, and plain numbers ----


@dataclass(frozen=True)
class Model:
    """A prediction from features: a name, and the numbers that it was fitted to.

    Attributes:
        name (str): One of the candidates of what is predicted.
        weights (list[float]): Of a regression: the intercept, then one per feature.
        knots (list[float]): Of an isotonic regression: the feature; also ``levels``.
        edge (float): A probability stays so far from 0 and 1: nothing is certain.
    """

    name: str
    weights: list[float] = field(default_factory=list)
    knots: list[float] = field(default_factory=list)
    levels: list[float] = field(default_factory=list)
    edge: float = 0.0

    def linear(self, features: np.ndarray) -> np.ndarray:
        """``(N,)`` scores of ``(N, F)`` features."""
        return self.weights[0] + features @ np.array(self.weights[1:])

    def isotonic(self, feature: np.ndarray) -> np.ndarray:
        """``(N,)`` values of one feature, linear between the knots."""
        return np.interp(feature, self.knots, self.levels)


def fit_linear(
    features: np.ndarray,
    target: np.ndarray,
    losses: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
    like: int,
) -> list[float]:
    """Intercept and slopes of a score of features that make the least loss.

    ``losses`` gives the loss of each score and its derivative. The feature ``like`` is
    a logit of what is predicted. Slopes are drawn towards 1 for it and 0 for others: a
    few images or objects leave it as it is.
    """
    mean = features.mean(0)
    scale = features.std(0) + 1e-9
    inputs = (features - mean) / scale
    usual = np.zeros(features.shape[1])
    usual[like] = scale[like]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        value, derivative = losses(weights[0] + inputs @ weights[1:], target)
        apart = weights[1:] - usual
        slopes = inputs.T @ derivative + PENALTY * apart
        total = value.sum() + PENALTY / 2 * (apart**2).sum()
        return float(total), np.concatenate([[derivative.sum()], slopes])

    start = np.zeros(features.shape[1] + 1)
    found = minimize(loss, start, jac=True, method='L-BFGS-B').x
    slopes = found[1:] / scale
    return [float(found[0] - slopes @ mean), *slopes.tolist()]


def logistic_losses(
    score: np.ndarray, real: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """NLL of a logit and its derivative."""
    return np.logaddexp(0, score) - real * score, sigmoid(score) - real


def absolute_losses(
    score: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Absolute error, round near 0, and its derivative: what it fits are medians."""
    apart = (score - target) / ROUND
    length = np.sqrt(1 + apart**2)
    return ROUND * (length - 1), apart / length


def fit_object_model(name: str, features: np.ndarray, real: np.ndarray) -> Model:
    """Fit a candidate of objects to ``(O, 7)`` features, the shipped mean last."""
    edge = 1 / (len(real) + 2)
    if name == 'logistic':
        return Model(
            name, fit_linear(features[:, :1], real, logistic_losses, 0), edge=edge
        )
    if name == 'features':
        return Model(
            name, fit_linear(features[:, :-1], real, logistic_losses, 0), edge=edge
        )

    if name == 'isotonic':
        order = np.argsort(features[:, 0], kind='stable')
        fit = isotonic_regression(real[order].astype(float))
        first = fit.blocks[:-1]
        number = np.diff(fit.blocks)
        knots = np.add.reduceat(features[order, 0], first) / number
        # One object of either kind more: nothing is certain.
        levels = (fit.x[first] * number + real.mean()) / (number + 1)
        return Model(name, [], *_ascending(knots, levels))
    return Model(name)


def _ascending(knots: np.ndarray, levels: np.ndarray) -> tuple[list, list]:
    knots, once = np.unique(knots, return_index=True)
    keep = np.unique(np.linspace(0, len(knots) - 1, 200).astype(int))
    levels = np.maximum.accumulate(levels[once])
    return knots[keep].tolist(), levels[keep].tolist()


def predict_objects(model: Model, features: np.ndarray) -> np.ndarray:
    """``(O,)`` probability that an object is real."""
    if model.name == 'shipped':
        return sigmoid(features[:, -1])
    if model.name == 'calibrated':
        return sigmoid(features[:, 0])
    if model.name == 'isotonic':
        return model.isotonic(features[:, 0])
    used = features[:, :1] if model.name == 'logistic' else features[:, :-1]
    return np.clip(sigmoid(model.linear(used)), model.edge, 1 - model.edge)


def fit_image_model(name: str, features: np.ndarray, dice: np.ndarray) -> Model:
    """Fit a candidate of images to ``(I, 4)`` features."""
    if name == 'median':
        return Model(name, [float(np.median(dice))])
    if name == 'regression':
        target = logit(dice, EDGE)
        return Model(name, fit_linear(features, target, absolute_losses, -1))
    return Model(name)


def predict_images(model: Model, features: np.ndarray) -> np.ndarray:
    """``(I,)`` expected Dice of images with a mask."""
    if model.name == 'shipped':
        return sigmoid(features[:, -1])
    if model.name == 'calibrated':
        return sigmoid(features[:, 0])
    if model.name == 'median':
        return np.full(len(features), model.weights[0])
    return sigmoid(model.linear(features))


# From the simplest on. Networks are too sure of their objects as a rule, so what
# corrects the mean probability comes before what does not.
OBJECT_MODELS = ('logistic', 'features', 'isotonic', 'calibrated', 'shipped')
IMAGE_MODELS = ('shipped', 'calibrated', 'median', 'regression')
SCORES = ('shipped', 'calibrated', 'regression')


def all_object_features(contents: Contents, prob: np.ndarray) -> np.ndarray:
    """``(O, 7)``: calibrated features, then the logit of the shipped mean."""
    shipped = object_features(contents, _SHIPPED)[:, :1]
    return np.concatenate([object_features(contents, prob), shipped], 1)


# ---- what is fitted ----


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

            numbers = [*found.low, *found.area_errors, found.bias]
            sizes = {len(found.low), len(found.area_errors)} - {0}
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
        found.append(_SHIPPED if maps is None else probabilities(maps))
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
        low = _lowered(expected, quantiles, relative, 0.9)
        ways[relative] = (float((expected - low).mean()), quantiles)
    best = min(ways, key=lambda way: ways[way][0])
    return ways[best][1], best


def unit_of_bound(expected: np.ndarray, relative: bool) -> np.ndarray:
    """What differences of Dice count in: 1, or what the expected Dice lacks to 1.02."""
    return 1.02 - expected if relative else np.ones_like(expected)


def _lowered(
    expected: np.ndarray, quantiles: Sequence[float], relative: bool, level: float
) -> np.ndarray:
    """Lower bound of Dice that a share ``level`` of the images is above."""
    shift = np.interp(1 - level, LEVELS, quantiles)
    moved = expected + shift * unit_of_bound(expected, relative)
    return np.clip(moved, 0, expected)


def _quantiles(values: np.ndarray) -> list[float]:
    """Quantiles at :data:`LEVELS`, a place further out for the image that comes."""
    values = np.sort(values)
    place = np.clip(LEVELS * (len(values) + 1) - 1, 0, len(values) - 1)
    return np.interp(place, np.arange(len(values)), values).tolist()


def traits(contents: Contents, features: np.ndarray) -> np.ndarray:
    """``(4,)``: calibrated features of an image, and the logit of its mask's share."""
    share = contents.pixels[contents.in_mask].sum() / contents.pixels.sum()
    return np.append(features[:-1], logit(np.array([share]), 1e-6))


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


def area_of(
    contents: Contents, prob: np.ndarray, name: str, valid: bool = False
) -> float:
    """Pixels of foreground: those of the mask, or the sum of the probabilities."""
    pixels = contents.counts[:, :2].sum(1) if valid else contents.pixels
    if name == 'count':
        return float(pixels[contents.in_mask].sum())
    return float((pixels * prob[contents.codes]).sum())


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


# ---- what is told of an image ----


@dataclass(frozen=True)
class ImageEstimate:
    """What to expect of the mask p > 1/2 of one image; nan where nothing can be told.

    Attributes:
        dice (float): Expected Dice. Of an empty mask: the probability that the image
            holds nothing.
        dice_low (float): A share ``level`` of such images has a larger Dice.
        iou (float): Expected IoU; also ``iou_low``.
        accuracy (float): Expected share of right pixels.
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
    own = np.where(contents.in_mask, prob[contents.codes], 1 - prob[contents.codes])
    if contents.in_mask.any():
        features = image_features(contents, prob)
        dice, low, score = _expected(decisions, features, level)
        if np.isnan(score):  # an order holds also where no Dice can be told
            score = expected_dice(contents, prob)
        unlike = _unlike(decisions, traits(contents, features))
    else:
        dice, low, score = _expected_of_empty(decisions, level)
        unlike = not decisions.empty[0]

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
        accuracy=float((contents.pixels * own).sum() / size),
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
    low = _lowered(expected, decisions.low, decisions.relative, level)
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
