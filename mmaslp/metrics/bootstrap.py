"""Confidence intervals of the metrics by resampling images."""

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from math import isnan, nan

import numpy as np

from ..common.arguments import check_integer
from ..common.options import RESAMPLES
from .chance import LEVEL, MOST_BLOCKS, Units, holm, standard_error, standard_errors
from .image_metrics import image_metrics
from .image_table import ImageTable

# Share of the resamples on each side of an interval.
TAIL = (1 - 0.95) / 2
# Share of resamples that may be without a value in an interval.
MOST_UNDEFINED = 0.05
# More would take hours and change no digit that is shown.
MOST_RESAMPLES = 100_000
# Resamples at a time: bounds the memory of the weights at 100 x images.
DRAWS_AT_ONCE = 100


@dataclass(frozen=True)
class Difference:
    """A metric of two models.

    Attributes:
        first (float): That of the first model; also ``second``.
        difference (float): Second minus first.
        low (float): Lower 95 % bound of the difference, of this metric alone; also
            ``high``. nan with fewer than two images or groups.
        differs (bool): Whether it differs beyond chance, all metrics of the comparison
            together.
        unbiased (float): The difference, without what the bootstrap shows to come from
            the number of images, as an ECE of few images is too high.
        error (float): The standard error of the difference, by the jackknife.
        p_value (float): The chance of such a difference between equal models, all
            metrics together; nan where it is not tested.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    differs: bool
    unbiased: float
    error: float
    p_value: float = nan

    @property
    def is_tested(self) -> bool:
        """bool: Whether it has a spread; what is equal on each image has none."""
        return self.error >= 0 and (self.error > 0 or self.difference != 0)

    @property
    def sure(self) -> float:
        """float: What is tested: the smaller of the difference as it is and unbiased.

        What comes from the number of images is no difference, and to take it away adds
        noise of its own. 0 if both have opposite signs.
        """
        if self.difference * self.unbiased <= 0:
            return 0.0
        return min(self.difference, self.unbiased, key=abs)


@dataclass(frozen=True)
class Resamples:
    """Metrics of all images and of R resamples of them.

    Attributes:
        values (dict[str, np.ndarray]): Of all images.
        drawn (dict[str, np.ndarray]): Of the resamples, ``(R,)`` each.
        units (int): Number of images, or of their groups, that were drawn.
        influence (dict[str, np.ndarray]): Of the units, see :func:`jackknife`; empty
            where nothing is compared.
    """

    values: dict[str, np.ndarray]
    drawn: dict[str, np.ndarray]
    units: int
    influence: dict[str, np.ndarray] = field(default_factory=dict)

    def interval(self, key: str) -> np.ndarray:
        """``(2,)`` 95 % bounds of one metric; nan with fewer than two units."""
        values = self.drawn[key]
        if self.units < 2:
            values = values * np.nan
        return percentiles(values)


def differences(
    first: Resamples, second: Resamples, units: Units, without: Collection[str] = ()
) -> dict[str, Difference]:
    """Compare two models, second minus first, metric by metric, and test all together.

    Both have as many resamples, of the same images where they are to be paired.
    Metrics that one lacks, and those of ``without``, are left out.
    """
    changes = {}
    p_values = {}
    for key in first.values:
        if key in second.values and key not in without:
            change = _difference(key, first, second, units)
            changes[key] = change
            if change.is_tested:
                size = standard_errors(change.sure, change.error)
                p_values[key] = units.p_value(size)
    if not p_values or not units.can_tell(len(p_values)):
        return changes

    for key, p_value in holm(p_values).items():
        changes[key] = replace(changes[key], p_value=p_value, differs=p_value <= LEVEL)
    return changes


def _difference(
    key: str, first: Resamples, second: Resamples, units: Units
) -> Difference:
    one = float(first.values[key])
    two = float(second.values[key])
    drawn = second.drawn[key] - first.drawn[key]
    drawn = drawn[~np.isnan(drawn)]  # a rare kind of image may not have been drawn
    error = standard_error(first.influence[key], second.influence[key], units.paired)

    half_width = nan
    if not isnan(error):
        half_width = units.least_size(LEVEL) * error
    return Difference(
        first=one,
        second=two,
        difference=two - one,
        low=two - one - half_width,
        high=two - one + half_width,
        differs=False,
        unbiased=float(2 * (two - one) - drawn.mean()) if len(drawn) else nan,
        error=error,
    )


def check_resamples(resamples: int, least: int = 0) -> int:
    """Refuse a number of resamples that is out of range."""
    if resamples == 1:
        raise ValueError('resamples must be an integer above 1 (or 0: no intervals)')
    return check_integer('resamples', resamples, at_least=least, at_most=MOST_RESAMPLES)


def percentiles(values: np.ndarray) -> np.ndarray:
    """Take the two percentiles with 95 % of the values between them.

    Resamples without a value, as where no image of a rare kind was drawn, are left out;
    nan if they are more than :data:`MOST_UNDEFINED` of all.
    """
    undefined = np.isnan(values)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', RuntimeWarning)  # of inf, and of nan alone
        if not undefined.any():
            return np.quantile(values, [TAIL, 1 - TAIL], axis=0)
        bounds = np.nanquantile(values, [TAIL, 1 - TAIL], axis=0)
    return np.where(undefined.mean(0) > MOST_UNDEFINED, np.nan, bounds)


def resample(
    images: ImageTable, resamples: int = RESAMPLES, seed: int = 0
) -> Resamples:
    """Draw images with replacement, the same ones for tables of as many images.

    Pixels of one image depend on each other, so whole images are drawn, and each
    resample is pooled over its pixels, as the metrics are. Images of one group (slices
    of a patient) depend on each other, too: where the table has groups, whole groups
    are drawn. Metrics that sort all pixels (``ece_em``, ``ece_sweep``, ``ks``) are not
    among them.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13;
    of groups, Davison and Hinkley, Bootstrap Methods and their Application, 1997,
    section 3.8.
    """
    check_resamples(resamples, least=2)
    rng = np.random.default_rng(check_integer('seed', seed, at_least=0))
    units = images.num_groups
    chunks = []
    for start in range(0, resamples, DRAWS_AT_ONCE):
        weights = draw_weights(units, min(DRAWS_AT_ONCE, resamples - start), rng)
        if images.groups is not None:
            weights = weights[:, images.group_numbers]
        chunks.append(image_metrics(images, weights))

    return Resamples(image_metrics(images), _concatenated(chunks), units)


def _concatenated(chunks: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Values of each metric behind each other; nothing of no chunk."""
    if not chunks:
        return {}
    values = {}
    for key in chunks[0]:
        values[key] = np.concatenate([chunk[key] for chunk in chunks])
    return values


def jackknife(images: ImageTable, seed: int = 0) -> dict[str, np.ndarray]:
    """Measure the influence of each unit on each metric, ``(B,)``.

    It is n - 1 times how the metric falls if the unit is left out, less the mean, so
    that its spread over units is that of the metric times the root of their number. Of
    more than :data:`~.chance.MOST_BLOCKS` units as many blocks are drawn, the same ones
    for tables of as many units.
    """
    units = images.num_groups
    blocks = min(units, MOST_BLOCKS)
    block_of_unit = np.arange(units)
    if units > MOST_BLOCKS:
        block_of_unit = np.random.default_rng(seed).permutation(units) % blocks
    block_of_image = block_of_unit[images.group_numbers]

    chunks = []
    for start in range(0, blocks, DRAWS_AT_ONCE):
        left_out = np.arange(start, min(start + DRAWS_AT_ONCE, blocks))
        weights = (left_out[:, None] != block_of_image).astype(np.float64)
        chunks.append(image_metrics(images, weights))
    influence = {}
    for key, without in _concatenated(chunks).items():
        influence[key] = (blocks - 1) * (without.mean() - without)
    return influence


def draw_weights(images: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """``(R, I)`` how often each resample draws each image."""
    weights = np.zeros((resamples, images))
    if not images:
        return weights
    for row in weights:
        drawn = rng.integers(images, size=images)
        row += np.bincount(drawn, minlength=images)
    return weights
