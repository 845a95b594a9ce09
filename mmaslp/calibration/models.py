"""Small models of objects and images: a name, and plain numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import isotonic_regression, minimize

from .features import logit, sigmoid

# Weight of the squared distance of coefficients, of standardised features, from those
# that leave a probability as it is.
PENALTY = 3.0
# Residuals of a logit above this count by their size, below by their square.
ROUND = 0.1
# Dice and probabilities stay so far from 0 and 1 where their logit is taken.
EDGE = 0.005
# From the simplest on. Networks are too sure of their objects as a rule, so what
# corrects the mean probability comes before what does not.
OBJECT_MODELS = ('logistic', 'features', 'isotonic', 'calibrated', 'shipped')
IMAGE_MODELS = ('shipped', 'calibrated', 'median', 'regression')
SCORES = ('shipped', 'calibrated', 'regression')


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
    if name in ('logistic', 'features'):
        weights = fit_linear(_used(name, features), real, logistic_losses, 0)
        return Model(name, weights, edge=edge)

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
    prob = sigmoid(model.linear(_used(model.name, features)))
    return np.clip(prob, model.edge, 1 - model.edge)


def _used(name: str, features: np.ndarray) -> np.ndarray:
    """Those that a regression of this name sees; none sees the shipped mean."""
    return features[:, :1] if name == 'logistic' else features[:, :-1]


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
