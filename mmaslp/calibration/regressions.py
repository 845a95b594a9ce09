"""Linear regressions of few features, drawn to what is usual.

A fit makes its predictions with them, and a comparison of two sets its weights.
"""

from collections.abc import Callable

import numpy as np
from scipy import special

# Weight of the squared distance of coefficients, of standardised features, from those
# that leave a probability as it is.
PENALTY = 3.0
# Parts of the images that a cross-validation leaves out in turn, also of other fits.
FOLDS = 5
# Residuals of a logit above this count by their size, below by their square.
ROUND = 0.1

Losses = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def fit_linear(
    features: np.ndarray, target: np.ndarray, losses: Losses, like: int | None = None
) -> list[float]:
    """Fit the intercept and slopes of a score of features that make the least loss.

    Args:
        features (np.ndarray): ``(N, F)``.
        target (np.ndarray): ``(N,)`` what the score is compared with.
        losses (Callable): Gives the loss of each score and its derivative.
        like (int, optional): Feature that is a logit of what is predicted. Its slope is
            drawn towards 1, the others towards 0: a few images or objects leave it as
            it is. Defaults to None: all are drawn towards 0.
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
    weights = least_loss(inputs, target, losses, 0 * usual, usual, penalty)
    slopes = weights[1:] / scale
    intercept = float(weights[0] - slopes @ mean)
    return [intercept, *slopes.tolist()]


def least_loss(
    inputs: np.ndarray,
    target: np.ndarray,
    losses: Losses,
    start: np.ndarray,
    usual: np.ndarray,
    penalty: np.ndarray,
) -> np.ndarray:
    """Weights of the least loss, with a penalty for the squared distance from usual."""
    # Whoever applies a calibrator needs no optimiser.
    from scipy import optimize

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        value, derivative = losses(inputs @ weights, target)
        apart = weights - usual
        total = float(value.sum() + penalty @ apart**2 / 2)
        return total, inputs.T @ derivative + penalty * apart

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
