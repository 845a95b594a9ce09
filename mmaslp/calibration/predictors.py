"""Small predictions of objects and images: a name, and plain numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit

# From the simplest on. Networks are too sure of their objects as a rule, so what
# corrects the mean probability comes before what does not.
OBJECT_PREDICTORS = ('logistic', 'features', 'uncalibrated')
# Of few objects: the uncalibrated mean with an intercept and a slope.
FEW_OBJECTS = 'drawn'
IMAGE_PREDICTORS = ('uncalibrated', 'calibrated', 'regression')
# Standard errors of half an interval of 90 %.
WIDE = 1.645


@dataclass(frozen=True)
class Predictor:
    """A prediction from features: a name, and the numbers that it was fitted to.

    Attributes:
        name (str): One of the candidates of what is predicted.
        weights (list[float]): Of a regression: the intercept, then one per feature.
        covariance (list[list[float]]): Of the weights, where few cases tell them.
        edge (float): A probability stays so far from 0 and 1: nothing is certain.
    """

    name: str
    weights: list[float] = field(default_factory=list)
    covariance: list[list[float]] = field(default_factory=list)
    edge: float = 0.0

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """``(N,)`` probabilities or Dice of ``(N, F)`` features.

        The first feature is the logit of the calibrated value, the last that of the
        uncalibrated one.
        """
        if self.name == 'uncalibrated':
            return expit(features[:, -1])
        if self.name == 'calibrated':
            return expit(features[:, 0])
        value = expit(self._inputs(features) @ self.weights)
        return np.clip(value, self.edge, 1 - self.edge)

    def range(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ends of an interval of 90 % of each value; nan without a covariance."""
        if not self.covariance:
            return (np.full(len(features), np.nan),) * 2
        inputs = self._inputs(features)
        error = np.sqrt(((inputs @ self.covariance) * inputs).sum(1))
        score = inputs @ self.weights
        return expit(score - WIDE * error), expit(score + WIDE * error)

    def _inputs(self, features: np.ndarray) -> np.ndarray:
        used = features[:, : len(self.weights) - 1]
        return np.column_stack([np.ones(len(used)), used])

    def check(self, names: tuple[str, ...], features: int) -> None:
        """Refuse what is none of the candidates, or gives no number; ValueError."""
        probe = np.zeros((1, features))
        values = [self(probe), np.array(self.covariance, float).ravel()]
        if self.name not in names or not np.isfinite(np.concatenate(values)).all():
            raise ValueError(f'{self.name} is not a prediction of {", ".join(names)}')
        self.range(probe)
