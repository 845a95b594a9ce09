"""Which masks to trust: the probability that an object is real, the Dice of an image.

Pixels of one object are right or wrong together, so calibrated pixels do not make
calibrated objects. Small models of a few figures of the object, or of the image, are
chosen out of fold: for objects and areas the simplest that is no worse, for images the
one of the least error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from .predictors import IMAGE_PREDICTORS, OBJECT_PREDICTORS, Predictor

# Empty masks that tell what another one is worth.
LEAST_EMPTY = 5
# Levels of the intervals that a file can give.
LEVELS = np.linspace(0, 1, 201)


@dataclass(frozen=True)
class Decisions:
    """What a fit learned about objects and images; plain values.

    Attributes:
        objects (Predictor | None): Probability that an object is real. None: the
            validation images cannot tell, and ``record['objects']`` says why.
        image (Predictor | None): Expected Dice of an image with a mask, or None.
        score (Predictor | None): What orders images, the most doubtful first, or None.
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

    objects: Predictor | None = None
    image: Predictor | None = None
    score: Predictor | None = None
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
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Decisions:
        """Make what :meth:`to_dict` gave; ValueError if it is anything else."""
        content = dict(plain)
        names = dict(
            objects=(OBJECT_PREDICTORS, 6),
            image=(IMAGE_PREDICTORS, 4),
            score=(IMAGE_PREDICTORS, 4),
        )
        try:
            for key, allowed in names.items():
                if content[key] is not None:
                    content[key] = Predictor(**content[key])
                    content[key].check(*allowed)

            decisions = cls(**content)
            decisions._check()
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise ValueError(f'decisions: {error!r}') from error
        return decisions

    def _check(self) -> None:
        quantiles = (self.low, self.area_errors, self.accuracy_errors)
        numbers = [self.bias, *np.concatenate([np.zeros(0), *quantiles])]
        sizes = {*map(len, quantiles)} - {0}
        if not np.isfinite(np.array(numbers, float)).all() or sizes - {len(LEVELS)}:
            raise ValueError(f'quantiles must be {len(LEVELS)} numbers')
        ranges = np.array(self.seen, float).reshape(-1, 2)
        if len(ranges) not in (0, 4) or not (ranges[:, 0] <= ranges[:, 1]).all():
            raise ValueError('seen must be four ranges')
        images, nothing = self.empty
        if self.area not in ('count', 'mass') or not 0 <= nothing <= images:
            raise ValueError('area or empty is not known')


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
