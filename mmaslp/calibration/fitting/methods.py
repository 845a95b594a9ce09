"""How a map of the logit is fitted to counts of labels: one function a method."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

from ..maps import CENTRES, LIMIT, SIDE, Knots

# Mean images of all bands, added to the pixels of each band. Of .2 to 4, 2 had the best
# Brier score and ECE out of fold on eight validation sets, at an NLL within .0002.
PRIOR_IMAGES = 2.0
# Images' worth of wrong pixels at the end of the logits: no pixel is certain.
DOUBT_IMAGES = 0.01
# Slope of the isotonic map where it is flat, so that the order of pixels stays.
SLOPE = 1e-3
# Knots that are nearer to the one before are the same but for rounding.
LEAST_GAP = 1e-9
# Least and largest slope of a temperature or Platt map.
SLOPES = (2.0**-10, 2.0**10)


# A function that fits a map to logits and counts.
Fit = Callable[[np.ndarray, np.ndarray], Knots]


@dataclass(frozen=True)
class Method:
    """A way to fit a map, and how many numbers it chooses: the fewer, the simpler."""

    fit: Fit
    parameters: int


MAPS: dict[str, Method] = {}


def calibration_method(parameters: int) -> Callable[[Fit], Fit]:
    """Let ``fit`` compare the map that a function fits; it has the function's name."""

    def register(fit: Fit) -> Fit:
        MAPS[fit.__name__] = Method(fit, parameters)
        return fit

    return register


def fit_maps(
    counts: np.ndarray, images: int, method: str, by: str, target: str
) -> list[Knots]:
    """Fit one map, or one of each band, to ``(B, CELLS, 2)`` counts of labels."""
    logit = CENTRES
    counts = counts.astype(np.float64)
    if target == 'confidence':
        logit = logit[SIDE + 1 :]
        counts = counts[:, SIDE::-1, ::-1] + counts[:, SIDE + 1 :]
    whole = counts.sum(0)
    parts = (
        counts + PRIOR_IMAGES / images * whole if by == 'band' else whole[None].copy()
    )
    pseudo_count = DOUBT_IMAGES / images * whole.sum()
    parts[:, -1, 0] += pseudo_count
    if target == 'probability':
        parts[:, 0, 1] += pseudo_count
    return [MAPS[method].fit(logit, part) for part in parts]


@calibration_method(parameters=0)
def identity(logit: np.ndarray, counts: np.ndarray) -> Knots:
    """Leave every logit as it is."""
    return _line(logit, 1.0, 0.0)


@calibration_method(parameters=1)
def temperature(logit: np.ndarray, counts: np.ndarray) -> Knots:
    r"""Divide by the T of the lowest NLL: :math:`z / T`."""
    return _line(logit, _lowest_nll(logit[:, None], counts)[0], 0.0)


@calibration_method(parameters=2)
def platt(logit: np.ndarray, counts: np.ndarray) -> Knots:
    """Scale and shift, :math:`a z + c`, at the lowest NLL."""
    inputs = np.stack([logit, np.ones_like(logit)], 1)
    slope, shift = _lowest_nll(inputs, counts)
    return _line(logit, slope, shift)


@calibration_method(parameters=6)
def isotonic(logit: np.ndarray, counts: np.ndarray) -> Knots:
    """Isotonic regression, linear between the centres of its blocks."""
    filled = np.flatnonzero(counts.sum(1))
    total = counts[filled].sum(1)
    fit = isotonic_regression(counts[filled, 1] / total, weights=total)
    first = fit.blocks[:-1]
    centres = np.add.reduceat(logit[filled] * total, first)
    centres /= np.add.reduceat(total, first)
    rate = np.clip(fit.x[first], 1e-7, 1 - 1e-7)
    level = np.log(rate / (1 - rate))
    knots = np.concatenate([[min(logit[0], 0.0)], centres, [LIMIT]])
    level = np.concatenate([level[:1], level, level[-1:]])
    apart = np.diff(knots, prepend=-np.inf) > LEAST_GAP
    return knots[apart], (level + SLOPE * knots)[apart]


def _line(logit: np.ndarray, slope: float, shift: float) -> Knots:
    ends = np.array([min(logit[0], 0.0), LIMIT])
    return ends, np.clip(slope, *SLOPES) * ends + shift


def _lowest_nll(inputs: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Weights w of the lowest NLL of sigmoid(inputs @ w), by Newton's method."""
    total = counts.sum(1)
    positives = counts[:, 1]
    weights = np.zeros(inputs.shape[1])

    def loss(tried: np.ndarray) -> float:
        score = inputs @ tried
        return total @ np.logaddexp(0, score) - positives @ score

    for _ in range(50):
        prob = 1 / (1 + np.exp(-inputs @ weights))
        hessian = inputs.T @ (inputs * (total * prob * (1 - prob))[:, None])
        gradient = inputs.T @ (total * prob - positives)
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]  # it may be singular
        while loss(weights - step) > loss(weights) and np.abs(step).max() > 1e-9:
            step /= 2
        weights = weights - step
        if np.abs(step).max() < 1e-9:
            break
    return weights
