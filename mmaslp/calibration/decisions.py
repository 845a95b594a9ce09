"""Which masks to trust: what a fit keeps to answer it.

Pixels of one object are right or wrong together, so calibrated pixels do not make
calibrated objects. Of each image of the fit a few features and residuals are kept,
without names: bounds are quantiles of the residuals, and new images are compared with
the features.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import expit

from ..common.arguments import (
    check_array,
    check_bool,
    check_choice,
    check_number,
    check_object,
    reading,
)
from ..common.arrays import ROUNDING
from .features import (
    DOMAIN_FEATURES,
    IMAGE_FEATURES,
    LARGEST_FEATURES,
    OBJECT_FEATURES,
    RANGE_FEATURES,
    UNITS,
    domain_inputs,
    has_mask,
)

# Empty masks that tell what another one is worth.
LEAST_EMPTY = 5
# How far outside of the range of the fit an image may be, in widths of the range.
MARGIN = 0.5
# The columns of the images of the fit, and where their numbers lie.
_COLUMNS: dict[str, dict[str, Any]] = dict(
    expected=dict(low=0, high=1),
    dice=dict(low=0, high=1),
    # In doubt, of which a pixel has 1e-7 and more.
    area_errors=dict(low=-1e8, high=1e8),
    accuracy_errors=dict(low=-1, high=1),
)

# From the simplest on. Networks are too sure of their objects as a rule, so what
# corrects the mean probability comes before what does not.
OBJECT_PREDICTORS = ('logistic', 'features', 'uncalibrated')
# Of few objects: the uncalibrated mean with an intercept and a slope.
OF_FEW_OBJECTS = 'drawn'
# The same of many, where all else orders objects worse than the uncalibrated mean does.
IN_ORDER_OF_MEAN = 'mean'
IMAGE_PREDICTORS = ('uncalibrated', 'calibrated', 'regression')
# The candidates of each prediction, and its number of features.
_PREDICTORS = dict(
    objects=(
        (*OBJECT_PREDICTORS, OF_FEW_OBJECTS, IN_ORDER_OF_MEAN),
        len(OBJECT_FEATURES),
    ),
    image=(IMAGE_PREDICTORS, len(IMAGE_FEATURES)),
    score=(IMAGE_PREDICTORS, len(IMAGE_FEATURES)),
    present=(('regression',), len(IMAGE_FEATURES)),
)
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

        prob = expit(self._inputs(features) @ self.weights)
        if self.name == IN_ORDER_OF_MEAN:
            # No two that differ become equal.
            return self.edge + (1 - 2 * self.edge) * prob
        return np.clip(prob, self.edge, 1 - self.edge)

    def range(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ends of an interval of 90 % of each value; nan without a covariance."""
        if not self.covariance:
            return (np.full(len(features), np.nan),) * 2
        inputs = self._inputs(features)
        error = np.sqrt(((inputs @ self.covariance) * inputs).sum(1))
        score = inputs @ self.weights
        ends = expit([score - WIDE * error, score + WIDE * error])
        low, high = np.clip(ends, self.edge, 1 - self.edge)  # as the value itself
        return low, high

    def _inputs(self, features: np.ndarray) -> np.ndarray:
        used = features[:, : len(self.weights) - 1]
        return np.column_stack([np.ones(len(used)), used])

    def check(self, names: tuple[str, ...], features: int) -> None:
        """Refuse what is none of the candidates, or gives no number; ValueError."""
        # Of `features` all but the uncalibrated mean count.
        numbers = dict(
            logistic=2,
            features=features,
            drawn=features + 1,
            mean=features + 1,
            regression=features + 1,
        )
        check_array('weights', self.weights, (numbers.get(self.name, 0),))
        check_number('edge', self.edge, at_least=0, at_most=0.5)
        size = 0
        if self.covariance:
            size = len(self.weights)
        covariance = check_array('covariance', self.covariance, (size, size))
        # No direction of it has a negative variance.
        if self.name not in names or (np.linalg.eigvalsh(covariance) < -1e-9).any():
            raise ValueError(f'{self.name} is not a prediction of {", ".join(names)}')


@dataclass(frozen=True)
class Decisions:
    """What a fit learned about objects and images; plain values.

    Attributes:
        objects (Predictor | None): Probability that an object is real. None: the
            validation images cannot tell, and ``record['objects']`` says why.
        image (Predictor | None): Expected Dice of an image with a mask, or None.
        score (Predictor | None): What orders images, the most doubtful first, or None.
        present (Predictor | None): Probability that an image with a mask holds
            anything at all, or None.
        features (list[list[float]]): Domain features of each of I images of the fit.
        expected (list[float | None]): Dice that was expected of each out of fold, None
            without a mask; also ``dice``, the true one.
        area_errors (list[float]): True less expected area of each, out of fold, in
            units of ``area_unit``.
        accuracy_errors (list[float | None]): True less expected accuracy of each.
        relative (bool): Whether errors of Dice count in what the expected Dice lacks to
            1, see :func:`unit_of_dice`.
        area_from (str): Whether an area is expected by 'calibrated' or 'uncalibrated'
            probabilities.
        area_unit (str): One of :data:`~mmaslp.calibration.features.UNITS`.
        empty (list[int]): Images with an empty mask, and those of them that hold
            nothing.
        cuts (list[list[float]]): For ascending least probabilities of an object: the
            share of real objects kept, false objects left per image, mean Dice.
        groups (list[int] | None): Number of the group of each image of the fit, such as
            its patient. None: each is on its own.
        record (dict): What the fit says of itself.
    """

    objects: Predictor | None = None
    image: Predictor | None = None
    score: Predictor | None = None
    present: Predictor | None = None
    features: list[list[float]] = field(default_factory=list)
    expected: list[float | None] = field(default_factory=list)
    dice: list[float | None] = field(default_factory=list)
    area_errors: list[float] = field(default_factory=list)
    accuracy_errors: list[float | None] = field(default_factory=list)
    relative: bool = False
    area_from: str = 'calibrated'
    area_unit: str = 'image'
    empty: list[int] = field(default_factory=lambda: [0, 0])
    cuts: list[list[float]] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)
    groups: list[int] | None = None

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> 'Decisions':
        """Make what ``dataclasses.asdict`` gave; ValueError if it is anything else."""
        with reading('decisions'):
            content = check_object('it', plain)
            for key, (names, number) in _PREDICTORS.items():
                if content[key] is not None:
                    content[key] = Predictor(**check_object(key, content[key]))
                    content[key].check(names, number)

            images = len(content['features'])
            check_array(
                'features',
                content['features'],
                (images, len(DOMAIN_FEATURES)),
                low=0,
                high=LARGEST_FEATURES,
            )
            for key, limits in _COLUMNS.items():
                check_array(key, content[key], (images,), **limits, nan=True)
            check_array('cuts', content['cuts'], (-1, 4), low=0, high=[1, 1, 1e9, 1])
            check_array(
                *('empty', content['empty'], (2,), int),
                low=0,
                high=[1e9, content['empty'][0]],
            )
            if content['objects'] and not content['cuts']:
                raise ValueError('there are no cuts of objects')
            if content.get('groups') is not None:
                last = max(images - 1, 0)
                check_array(
                    'groups', content['groups'], (images,), int, low=0, high=last
                )
            check_bool('relative', content['relative'])
            check_choice('area_from', content['area_from'], IMAGE_PREDICTORS[:2])
            check_choice('area_unit', content['area_unit'], UNITS)
            return cls(**content)

    @cached_property
    def errors(self) -> dict[str, np.ndarray]:
        """Columns of the images of the fit as arrays, None as nan."""
        return {name: np.array(getattr(self, name), float) for name in _COLUMNS}

    @cached_property
    def inputs(self) -> np.ndarray:
        """``(I, 17)`` inputs of the images of the fit, see :func:`domain_inputs`."""
        return domain_inputs(self._features)

    @property
    def group_of_image(self) -> np.ndarray:
        """``(I,)`` number of the group of each image of the fit, without gaps."""
        if self.groups is None:
            return np.arange(len(self.features))
        return np.unique(self.groups, return_inverse=True)[1]

    @cached_property
    def masked(self) -> np.ndarray:
        """``(I,)`` which images of the fit have a mask."""
        return has_mask(self._features)

    @property
    def _features(self) -> np.ndarray:
        return np.reshape(np.array(self.features, float), (-1, len(DOMAIN_FEATURES)))

    def least_probability(
        self, keep_real: float | None = None, max_false: float | None = None
    ) -> float:
        """Pick the least probability of an object from the table of costs.

        ``keep_real`` is the share of real objects that must stay. Without it
        ``max_false`` is how many false ones an image may have left; ValueError if none
        leaves so few.
        """
        if keep_real is not None:
            check_number('keep_real', keep_real, above=0, at_most=1)
            enough = [cut for cut, kept, _, _ in self.cuts if kept >= keep_real]
            return max(enough, default=0.0)

        most = np.inf
        if max_false is not None:
            most = check_number('max_false', max_false, at_least=0)
        few = [cut for cut, _, false, _ in self.cuts if false <= most]
        if not few:
            least = min((false for _, _, false, _ in self.cuts), default=np.nan)
            raise ValueError(
                f'no threshold leaves as few as {most:g} false objects per image on '
                f'average (the lowest is {least:g}): raise `max_false`'
            )
        return min(few)

    def distance(self, features: Sequence[float]) -> float:
        """How far an image is outside of the range of the fit, in widths of the range.

        Images with a mask are compared with images with a mask. 0 is inside; infinite
        if the fit saw no such image.
        """
        new = domain_inputs(np.array(features))[RANGE_FEATURES]
        alike = self.masked == has_mask(features)
        fitted = self.inputs[alike][:, RANGE_FEATURES]
        if not len(fitted):
            return np.inf
        low = fitted.min(0)
        high = fitted.max(0)
        outside = np.maximum(low - new, new - high).clip(0)  # of logits and logs
        return float((outside / np.maximum(high - low, 0.5)).max())

    def lower_dice(
        self, expected: float, level: float, weights: np.ndarray | None = None
    ) -> float:
        """Lower bound of Dice that a share ``level`` of the images is above.

        With weights it is the lower one of the bounds by absolute and by relative
        residuals.
        """
        apart = self.errors['dice'] - self.errors['expected']
        ways = [self.relative]
        if weights is not None:
            ways = [False, True]
        bounds = []
        for relative in ways:
            unit = unit_of_dice(self.errors['expected'], relative)
            shift = weighted_quantile(apart / unit, 1 - level, weights)
            bounds.append(expected + shift * unit_of_dice(expected, relative))
        return float(np.clip(min(bounds), 0, expected))


def unit_of_dice(expected: Any, relative: bool) -> Any:
    """What errors of Dice count in: 1, or what the expected Dice lacks to 1.02."""
    if relative:
        return 1.02 - expected
    return 1.0


def relative_is_narrower(expected: np.ndarray, true: np.ndarray) -> bool:
    """Whether relative errors give the narrower bounds at 90 %, see unit_of_dice."""
    widths = []
    for relative in (False, True):
        unit = unit_of_dice(expected, relative)
        shift = weighted_quantile((true - expected) / unit, 0.1) * unit
        widths.append(np.mean(expected - np.clip(expected + shift, 0, expected)))
    return bool(widths[1] < widths[0])


def weighted_quantile(
    values: np.ndarray, level: float, weights: np.ndarray | None = None
) -> float:
    """Quantile of ``(I,)`` residuals, a place further out for the image that comes.

    nan values are left out. It is nan where so few values cannot tell: the level is
    below 1 / (I + 1) or above I / (I + 1). Source of the weights: `Tibshirani et al.,
    Conformal prediction under covariate shift <https://arxiv.org/abs/1904.06019>`_.
    """
    has_value = ~np.isnan(values)
    number = has_value.sum()
    if not 1 - ROUNDING <= level * (number + 1) <= number + ROUNDING:
        return np.nan
    if weights is None:
        weights = np.ones(len(values))

    values = values[has_value]
    order = np.argsort(values)
    weights = weights[has_value][order]
    share = np.cumsum(weights) / (weights.sum() + weights.mean())
    return float(np.interp(level, share, values[order]))
