r"""Monotone maps of the logit, each fitted from counts by one small function.

Every function takes the logits z of K cells, ascending, and ``(K, 2)`` counts, and
returns knots: a map is linear between them, and flat beyond the last ones. For the
target 'confidence' z is the size of the logit and the counts are of wrong and of right
decisions; the map of a negative logit mirrors that of a positive one. For 'probability'
z is the logit and the counts are of the labels 0 and 1.
"""

from collections.abc import Callable

import numpy as np
from scipy.optimize import isotonic_regression

from .cells import CENTRES, LIMIT, SIDE

# Logits and calibrated logits, ``(K,)`` each, ascending.
Knots = tuple[np.ndarray, np.ndarray]

TARGETS = ('confidence', 'probability')
# Mean images of all bands, added to the pixels of each band. Of .2 to 4, 2 had the best
# Brier score and ECE out of fold on eight validation sets, at an NLL within .0002.
PRIOR_IMAGES = 2.0
# Images' worth of wrong pixels at the end of the logits: no pixel is certain.
DOUBT_IMAGES = 0.01
# Slope of the isotonic map where it is flat, so that the order of pixels stays.
SLOPE = 1e-3
# Least and largest slope of a temperature or affine map.
SLOPES = (2.0**-10, 2.0**10)


def fit_maps(
    counts: np.ndarray, images: int, method: str, by: str, target: str
) -> list[Knots]:
    """Fit one map, or one of each band, to ``(B, CELLS, 2)`` counts of labels."""
    logit, counts = CENTRES, counts.astype(np.float64)
    if target == 'confidence':
        logit = logit[SIDE + 1 :]
        counts = counts[:, SIDE::-1, ::-1] + counts[:, SIDE + 1 :]
    whole = counts.sum(0)
    parts = (
        counts + PRIOR_IMAGES / images * whole if by == 'band' else whole[None].copy()
    )
    doubt = DOUBT_IMAGES / images * whole.sum()
    parts[:, -1, 0] += doubt
    if target == 'probability':
        parts[:, 0, 1] += doubt
    return [MAPS[method](logit, part) for part in parts]


def identity(logit: np.ndarray, counts: np.ndarray) -> Knots:
    """Leave every logit as it is."""
    return _line(logit, 1.0, 0.0)


def temperature(logit: np.ndarray, counts: np.ndarray) -> Knots:
    r"""Divide by the T of the lowest NLL: :math:`z / T`."""
    return _line(logit, _lowest_nll(logit[:, None], counts)[0], 0.0)


def affine(logit: np.ndarray, counts: np.ndarray) -> Knots:
    """Scale and shift, :math:`a z + c`, at the lowest NLL."""
    inputs = np.stack([logit, np.ones_like(logit)], 1)
    slope, shift = _lowest_nll(inputs, counts)
    return _line(logit, slope, shift)


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
    knots, once = np.unique(knots, return_index=True)
    return knots, level[once] + SLOPE * knots


MAPS: dict[str, Callable[[np.ndarray, np.ndarray], Knots]] = dict(
    identity=identity, temperature=temperature, affine=affine, isotonic=isotonic
)


def _line(logit: np.ndarray, slope: float, shift: float) -> Knots:
    ends = np.array([min(logit[0], 0.0), LIMIT])
    return ends, np.clip(slope, *SLOPES) * ends + shift


def _lowest_nll(inputs: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Weights w of the lowest NLL of sigmoid(inputs @ w), by Newton's method."""
    total, right = counts.sum(1), counts[:, 1]
    weights = np.zeros(inputs.shape[1])

    def loss(tried: np.ndarray) -> float:
        score = inputs @ tried
        return total @ np.logaddexp(0, score) - right @ score

    for _ in range(50):
        prob = 1 / (1 + np.exp(-inputs @ weights))
        bend = inputs.T @ (inputs * (total * prob * (1 - prob))[:, None])
        slant = inputs.T @ (total * prob - right)
        step = np.linalg.lstsq(bend, slant, rcond=None)[0]  # it may be singular
        while loss(weights - step) > loss(weights) and np.abs(step).max() > 1e-9:
            step /= 2
        weights = weights - step
        if np.abs(step).max() < 1e-9:
            break
    return weights
