r"""The monotone maps of a logit that calibrators choose from, on one grid of cells.

Cells have one width in :math:`v = z / (1 + |z| / 4)`: .025 of a logit at p = 1/2, .13
at |z| = 5 and .6 at the ends, :math:`p = 10^{-7}` and :math:`1 - 10^{-7}`. Logits
beyond an end share a cell. A cell never holds both sides of p = 1/2; the point itself
belongs to the background, as in the decision p > 1/2.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import isotonic_regression
from torch import Tensor

# Cells of each side of p = 1/2, without the one beyond the end.
SIDE = 128
CELLS = 2 * SIDE + 2
# The logit beyond which a probability counts as 0 or 1.
LIMIT = math.log((1 - 1e-7) / 1e-7)
_SOFT = 4.0
_SPAN = LIMIT / (1 + LIMIT / _SOFT)


def cell_numbers(logit: Tensor, side: int = SIDE) -> Tensor:
    """Number every logit's cell, from 0 below the ends to 2 * side + 1 above, int32."""
    # Infinite logits would divide to nan.
    inside = logit.clamp(-2 * LIMIT, 2 * LIMIT)
    scale = inside.abs().mul_(1 / _SOFT).add_(1)
    number = inside.div_(scale).mul_(side / _SPAN).ceil_().int()
    # nan becomes the first or the last.
    return number.add_(side).clamp_(0, 2 * side + 1)


def breaks(side: int = SIDE) -> np.ndarray:
    """Return the logits between the cells of one side, from 0 to ``LIMIT``."""
    scaled = np.linspace(0, _SPAN, side + 1)
    return np.append(scaled[:-1] / (1 - scaled[:-1] / _SOFT), LIMIT)


_HIGH = np.append(breaks(2 * SIDE)[1::2], LIMIT)
# (CELLS,) the logit that stands for each cell.
CENTRES = np.concatenate([-_HIGH[::-1], _HIGH])


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
def affine(logit: np.ndarray, counts: np.ndarray) -> Knots:
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
    knots, once = np.unique(knots, return_index=True)
    return knots, level[once] + SLOPE * knots


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


# Segments end at the centres of the cells and between the cells.
_HALVES = 2 * SIDE
# No network gives larger logits; infinite ones have no calibrated value.
_MOST = 1e4
# Least size of a calibrated logit that keeps its decision: float32 tells it from 0.
_LEAST = 1e-4


def evaluate(maps: Sequence[Knots], logit: np.ndarray, target: str) -> np.ndarray:
    """``(B, K)`` calibrated logits of ``(K,)`` by B maps; 0 counts as positive."""
    if target == 'probability':
        return np.stack([np.interp(logit, *curve) for curve in maps])
    size = np.abs(logit)
    level = np.stack([np.interp(size, *curve) for curve in maps])
    return np.where(logit < 0, -1, 1) * np.maximum(level, _LEAST * (1 + size))


def segments(maps: Sequence[Knots], target: str) -> np.ndarray:
    """``(2, B, S)`` shift and slope of every segment of B maps."""
    high = breaks(_HALVES)
    # Both sides have a value at 0.
    low = -np.maximum(high[::-1], np.finfo(float).tiny)
    parts = []
    for ends in (low, high):
        level = evaluate(maps, ends, target)
        slope = np.diff(level) / np.diff(ends)
        parts.append(np.stack([level[:, :-1] - slope * ends[:-1], slope]))
    # Beyond an end its segment goes on.
    return np.concatenate([parts[0][..., :1], *parts, parts[1][..., -1:]], 2)


def look_up(logit: Tensor, band: Tensor | None, table: Tensor) -> Tensor:
    """Calibrate logits by ``(2, B, S)`` segments; bands are None where B is 1."""
    index = cell_numbers(logit, _HALVES)
    if band is not None:
        index.add_(band.int().mul_(table.shape[2]))
    index = index.flatten()

    shifts = table[0].flatten()
    slopes = table[1].flatten()
    # An exported view has one size: the sum below refuses logits of another.
    shift = shifts.index_select(0, index).view(logit.shape)
    slope = slopes.index_select(0, index).view(logit.shape)
    return torch.addcmul(shift, slope, logit.clamp(-_MOST, _MOST))
