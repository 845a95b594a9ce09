"""Fitting the small predictions of objects and images."""

import numpy as np
from scipy import special

from ..decisions import IN_ORDER_OF_MEAN, OF_FEW_OBJECTS, Predictor
from ..features import logit
from ..regressions import absolute_losses, fit_linear, least_loss, logistic_losses


def fit_object_predictor(
    name: str, features: np.ndarray, real: np.ndarray
) -> Predictor:
    """Fit a candidate of objects to ``(O, 7)`` features and ``(O,)`` outcomes."""
    if name == 'uncalibrated':
        return Predictor(name)
    if name == OF_FEW_OBJECTS:
        return _fit_few_objects(features, real)
    if name == IN_ORDER_OF_MEAN:
        return _fit_in_order_of_mean(features, real)

    # The uncalibrated mean is the last one.
    used = features[:, :-1]
    if name == 'logistic':
        used = features[:, :1]
    weights = fit_linear(used, real, logistic_losses, like=0)
    return Predictor(name, weights, edge=_edge_of(len(real)))


def _fit_few_objects(features: np.ndarray, real: np.ndarray) -> Predictor:
    """Fit intercept and slope of the uncalibrated mean, drawn to what leaves it."""
    score = features[:, -1]
    inputs = np.column_stack([np.ones(len(real)), score])
    usual = np.array([0.0, 1.0])
    penalty = np.array([2.0, 2.0 * score.var()])

    used = [0, features.shape[1]]  # of the intercept and all slopes
    weights = np.zeros(features.shape[1] + 1)
    weights[used] = least_loss(inputs, real, logistic_losses, usual, usual, penalty)

    prob = special.expit(inputs @ weights[used])
    curvature = inputs.T @ (inputs * (prob * (1 - prob))[:, None]) + np.diag(penalty)
    covariance = np.zeros((len(weights), len(weights)))
    covariance[np.ix_(used, used)] = np.linalg.pinv(curvature)
    return Predictor(
        OF_FEW_OBJECTS, weights.tolist(), covariance.tolist(), edge=_edge_of(len(real))
    )


def _fit_in_order_of_mean(features: np.ndarray, real: np.ndarray) -> Predictor:
    """Fit intercept and slope of the uncalibrated mean, which never falls."""
    intercept, slope = fit_linear(features[:, -1:], real, logistic_losses, like=0)
    if slope <= 0:  # the mean tells nothing
        return Predictor('uncalibrated')

    weights = np.zeros(features.shape[1] + 1)
    weights[0] = intercept
    weights[-1] = slope
    return Predictor(IN_ORDER_OF_MEAN, weights.tolist(), edge=_edge_of(len(real)))


def fit_image_predictor(name: str, features: np.ndarray, dice: np.ndarray) -> Predictor:
    """Fit a candidate of images to ``(I, 4)`` features and ``(I,)`` true Dice."""
    if name != 'regression':
        return Predictor(name)
    # What is fitted are medians; the last feature is the uncalibrated expected Dice.
    target = logit(dice, 0.005)
    return Predictor(name, fit_linear(features, target, absolute_losses, like=-1))


def fit_presence(features: np.ndarray, present: np.ndarray) -> Predictor:
    """Fit the probability that an image with a mask holds anything."""
    weights = fit_linear(features, present, logistic_losses)
    return Predictor('regression', weights, edge=_edge_of(len(present)))


def _edge_of(number: int) -> float:
    """How far probabilities stay from 0 and 1 if so many cases tell them."""
    return 1 / (number + 2)
