"""Fitting the small predictions of objects and images."""

from collections.abc import Callable

import numpy as np
from scipy import optimize, special

from ..decisions import FEW_OBJECTS, Predictor
from ..features import logit

# Weight of the squared distance of coefficients, of standardised features, from those
# that leave a probability as it is.
PENALTY = 3.0
# Residuals of a logit above this count by their size, below by their square.
ROUND = 0.1

Losses = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def fit_linear(
    features: np.ndarray, target: np.ndarray, losses: Losses, like: int | None = None
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
    if like is not None:
        usual[like] = scale[like]

    inputs = np.column_stack([np.ones(len(inputs)), inputs])
    usual = np.append(0.0, usual)
    penalty = PENALTY * (np.arange(len(usual)) > 0)  # none of the intercept
    weights = _least_loss(inputs, target, losses, 0 * usual, usual, penalty)
    slopes = weights[1:] / scale
    return [float(weights[0] - slopes @ mean), *slopes.tolist()]


def _least_loss(
    inputs: np.ndarray,
    target: np.ndarray,
    losses: Losses,
    start: np.ndarray,
    usual: np.ndarray,
    penalty: np.ndarray,
) -> np.ndarray:
    """Weights of the least loss, with a penalty for the squared distance from usual."""

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        value, derivative = losses(inputs @ weights, target)
        apart = weights - usual
        return (
            float(value.sum() + penalty @ apart**2 / 2),
            inputs.T @ derivative + penalty * apart,
        )

    return optimize.minimize(loss, start, jac=True, method='L-BFGS-B').x


def logistic_losses(
    score: np.ndarray, outcome: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """NLL of a logit and its derivative."""
    return np.logaddexp(0, score) - outcome * score, special.expit(score) - outcome


def absolute_losses(
    score: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Absolute error, round near 0, and its derivative: what it fits are medians."""
    apart = (score - target) / ROUND
    length = np.sqrt(1 + apart**2)
    return ROUND * (length - 1), apart / length


def fit_object_predictor(
    name: str, features: np.ndarray, true: np.ndarray
) -> Predictor:
    """Fit a candidate of objects to ``(O, 7)`` features, the uncalibrated mean last."""
    if name == 'uncalibrated':
        return Predictor(name)
    used = features[:, :1] if name == 'logistic' else features[:, :-1]
    return Predictor(
        name, fit_linear(used, true, logistic_losses, 0), edge=1 / (len(true) + 2)
    )


def fit_few_objects(features: np.ndarray, true: np.ndarray) -> Predictor:
    """Fit intercept and slope of the uncalibrated mean, drawn to what leaves it."""
    score = features[:, -1]
    inputs = np.column_stack([np.ones(len(true)), score])
    usual = np.array([0.0, 1.0])
    penalty = np.array([2.0, 2.0 * score.var()])

    used = [0, features.shape[1]]  # of the intercept and all slopes
    weights = np.zeros(features.shape[1] + 1)
    weights[used] = _least_loss(inputs, true, logistic_losses, usual, usual, penalty)
    prob = special.expit(inputs @ weights[used])
    curvature = inputs.T @ (inputs * (prob * (1 - prob))[:, None]) + np.diag(penalty)
    covariance = np.zeros((len(weights), len(weights)))
    covariance[np.ix_(used, used)] = np.linalg.pinv(curvature)
    return Predictor(
        FEW_OBJECTS, weights.tolist(), covariance.tolist(), edge=1 / (len(true) + 2)
    )


def fit_image_predictor(name: str, features: np.ndarray, dice: np.ndarray) -> Predictor:
    """Fit a candidate of images to ``(I, 4)`` features."""
    if name == 'regression':
        return Predictor(  # of medians
            name, fit_linear(features, logit(dice, 0.005), absolute_losses, -1)
        )
    return Predictor(name)
