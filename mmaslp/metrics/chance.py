"""One test of a difference: for verdicts, stars, tables and alarms.

Each metric has Student's t of the influence of images: how the difference changes if
one is left out (the jackknife). Images count, or groups of them (all slices of a
patient) where groups are told. A bootstrap is no base of the test: an error of
calibration is a sum of absolute values, whose resamples vary too little, so that of
equal networks on 30 other images each 11 % were called different
(``benchmarks/equal_networks.py``).
Several metrics are tested together by the rule of Holm: of two equal networks at most a
share :data:`LEVEL` has any metric that is called different.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 11.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb, nan

import numpy as np
from scipy.special import stdtr, stdtrit

# Share of comparisons of equal networks that may call a metric different, all metrics
# together; 1 - LEVEL is the share of the intervals that hold the true difference.
LEVEL = 0.05
# The same of checks that may raise an alarm.
ALARM = 1e-3
# The jackknife leaves out one unit, or of more than these one of as many blocks.
MOST_BLOCKS = 200
# No difference counts as more standard errors.
MOST_ERRORS = 1e6


@dataclass(frozen=True)
class Units:
    """What two models were measured on: images, or groups of images.

    Attributes:
        first (int): Number of units of the first model; also ``second``.
        paired (bool): Whether both were measured on the same ones.
        name (str): 'images' or 'groups'.
    """

    first: int
    second: int
    paired: bool = True
    name: str = 'images'

    @property
    def freedom(self) -> int:
        """int: Degrees of freedom of the standard errors."""
        return min(self.first, self.second, MOST_BLOCKS) - 1

    @property
    def text(self) -> str:
        """str: Their number and name."""
        if self.paired:
            return f'{self.first} {self.name}'
        return f'{self.first} and {self.second} {self.name}'

    def can_tell(self, tests: int, level: float = LEVEL, sides: int = 2) -> bool:
        """Whether so many tests can reach a level together."""
        return _least_p(self.first, self.second, self.paired, sides) <= level / tests

    def needed(self, tests: int, level: float = LEVEL, sides: int = 2) -> int:
        """Least number of units, of each model, that can."""
        units = 2
        while _least_p(units, units, self.paired, sides) > level / tests:
            units += 1
        return units

    def p_value(self, size: float, sides: int = 2) -> float:
        """Chance that equal models differ by so many standard errors, or more."""
        return float(sides * stdtr(self.freedom, -size))

    def least_size(self, level: float, sides: int = 2) -> float:
        """Standard errors beyond which the p of a test is below a level."""
        return float(-stdtrit(self.freedom, level / sides))


def _least_p(first: int, second: int, paired: bool, sides: int) -> float:
    """The least p of any test that assumes no distribution.

    It is reached where every unit agrees: 2 ** -n of n pairs (the sign test), one order
    of all of n and m units (the test of Wilcoxon, Mann and Whitney).
    """
    if paired:
        return sides * 0.5**first
    return sides / comb(first + second, first)


def standard_error(first: np.ndarray, second: np.ndarray, paired: bool = True) -> float:
    """Standard error of a difference from the influences of both models.

    Args:
        first (np.ndarray): ``(B,)`` of the units or blocks of the first model, see
            :func:`~.bootstrap.jackknife`.
        second (np.ndarray): The same of the second.
        paired (bool): Whether both are of the same units.
    """
    if min(len(first), len(second)) < 2:
        return nan
    if paired:
        return float(np.sqrt((second - first).var(ddof=1) / len(first)))
    variance = first.var(ddof=1) / len(first) + second.var(ddof=1) / len(second)
    return float(np.sqrt(variance))


def standard_errors(difference: float, error: float) -> float:
    """A difference in standard errors, which may be 0; at most :data:`MOST_ERRORS`."""
    if difference == 0:
        return 0.0
    if error <= abs(difference) / MOST_ERRORS:
        return MOST_ERRORS
    return abs(difference) / error


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjust p values for their number: reject those that are at most a level.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scandinavian
    Journal of Statistics, 1979.
    """
    ordered = sorted(p_values, key=p_values.__getitem__)
    factors = len(ordered) - np.arange(len(ordered))
    scaled = factors * np.array([p_values[key] for key in ordered])

    adjusted = np.minimum(np.maximum.accumulate(scaled), 1)
    return dict(zip(ordered, adjusted.tolist()))
