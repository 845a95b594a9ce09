"""Small predictions of objects and images: a name, and plain numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit

# From the simplest on. Networks are too sure of their objects as a rule, so what
# corrects the mean probability comes before what does not.
OBJECT_PREDICTORS = ('logistic', 'features', 'isotonic', 'uncalibrated')
IMAGE_PREDICTORS = ('uncalibrated', 'calibrated', 'regression')


@dataclass(frozen=True)
class Predictor:
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

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """``(N,)`` probabilities or Dice of ``(N, F)`` features.

        The first feature is the logit of the calibrated value, the last that of the
        uncalibrated one.
        """
        if self.name == 'isotonic':
            return np.interp(features[:, 0], self.knots, self.levels)
        if self.name == 'uncalibrated':
            return expit(features[:, -1])
        if self.name == 'calibrated':
            return expit(features[:, 0])
        slopes = np.array(self.weights[1:])
        value = expit(self.weights[0] + features[:, : len(slopes)] @ slopes)
        return np.clip(value, self.edge, 1 - self.edge)

    def check(self, names: tuple[str, ...], features: int) -> None:
        """Refuse numbers that make none of the candidates; ValueError."""
        numbers = [*self.weights, *self.knots, *self.levels, self.edge]
        usable = self.name in names and np.isfinite(np.array(numbers, float)).all()
        curve = len(self.knots) == len(self.levels) and (np.diff(self.knots) > 0).all()
        if (
            not (usable and curve and 0 <= self.edge < 0.5)
            or len(self.weights) > features + 1
            or (self.name == 'isotonic') != bool(self.knots)
            or (self.name in ('logistic', 'features', 'regression'))
            != bool(self.weights)
        ):
            raise ValueError(f'{self.name} is not a prediction of {", ".join(names)}')
