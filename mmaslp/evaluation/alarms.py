"""Alarms of products: a metric that is worse beyond chance, or beyond its limit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan

import numpy as np

from ..common.arguments import reading
from ..common.options import RESAMPLES
from ..metrics.bootstrap import (
    Difference,
    Resamples,
    differences,
    jackknife,
    resample,
)
from ..metrics.catalogue import METRICS, SHOWN, Metric, metric_of
from ..metrics.chance import ALARM, Units, standard_errors
from .comparison import Comparison
from .result import Result

# Metrics that are tested by default: over-confidence alone shows drift more surely.
TESTED = (*SHOWN, 'oe', 'ue')


def worse_metrics(comparison: Comparison, keys: Sequence[str] = ()) -> dict[str, float]:
    """Metrics of the second model that are worse beyond chance, in standard errors.

    Of two equal networks at most a share :data:`ALARM` has such a metric, by the rule
    of Bonferroni.

    Args:
        comparison (Comparison): Of the two models.
        keys (Sequence[str]): What to test. Defaults to those of :data:`TESTED` that
            were measured.

    Raises:
        ValueError: The alarm could not ring: a key has no value or no interval, or
            there are fewer images than a test at this level needs.
    """
    changes = _testable(comparison)
    for key in keys:
        if key not in changes:
            raise ValueError(
                f'`keys={key}`: it has no value with an interval in both '
                'results, or neither side is better, so that the alarm cannot ring; '
                'take one of '
                f'{", ".join(changes) or "more images"}'
            )
    tested = [key for key in dict.fromkeys(keys or TESTED) if key in changes]
    _check_images(comparison, len(tested))

    least = comparison.units.least_size(ALARM / len(tested), sides=1)
    worse = {}
    for key in tested:
        size = _how_much_worse(key, changes[key])
        if size > least:
            worse[key] = size
    return worse


def _testable(comparison: Comparison) -> dict[str, Difference]:
    """Changes of the metrics that can be worse, and that have an interval."""
    changes = {}
    for key, change in comparison.metrics.items():
        has_interval = not isnan(change.low + change.unbiased)
        if has_interval and metric_of(key).better:
            changes[key] = change
    return changes


def _how_much_worse(key: str, change: Difference) -> float:
    """How much worse the second is, in standard errors; 0 if it is not."""
    worse = change.sure
    if metric_of(key).better == 'higher':
        worse = -worse
    return standard_errors(max(worse, 0.0), change.error)


def _check_images(comparison: Comparison, tests: int) -> None:
    """Refuse fewer images than any test needs to reach the level of the alarm."""
    units = comparison.units
    if tests > 0 and units.can_tell(tests, ALARM, sides=1):
        return
    needed = units.needed(max(tests, 1), ALARM, sides=1)
    raise ValueError(
        f'`keys`: {units.text} cannot show that one of {tests} metrics is '
        f'worse at a level of {ALARM:g}, so that the alarm cannot ring; take {needed} '
        f'{units.name} or more'
    )


def read_limits(texts: Sequence[str]) -> dict[str, float]:
    """Read limits by key, such as ``ece_band=.01``.

    Raises:
        ValueError: A metric is unknown, or a limit is not a number that some result
            keeps and another one does not.
    """
    limits: dict[str, float] = {}
    for text in texts:
        key, _, value = text.partition('=')
        metric = metric_of(key)
        if key in limits:
            raise ValueError(f'`limits={text}`: {key} has another limit: give one')
        if not metric.better:
            keys = ', '.join(metric.key for metric in METRICS if metric.better)
            raise ValueError(
                f'`limits={text}`: name a metric that can be worse, of {keys}'
            )
        with reading(f'`limits={text}`: write {key}=NUMBER'):
            limit = float(value)
        limits[key] = limit

        if not _tells(metric, limit):
            raise ValueError(
                f'`limits={text}`: {metric.label} lies between {metric.low:g} and '
                f'{metric.high:g}, so that this limit would tell nothing'
            )
    return limits


def _tells(metric: Metric, limit: float) -> bool:
    """Whether some result keeps a limit, and another one does not."""
    if metric.better == 'lower':
        return metric.low <= limit < metric.high
    return metric.low < limit <= metric.high


@dataclass(frozen=True)
class Beyond:
    """A metric that is beyond its limit.

    Attributes:
        text (str): Its value, its limit, and whether that may be chance.
        rings (bool): False if it may be chance. Too few images, and metrics without a
            spread over images, cannot tell that: they ring.
    """

    text: str
    rings: bool


def beyond_limits(result: Result, limits: Mapping[str, float]) -> list[Beyond]:
    """Say which metrics are beyond their limits, and which of them may be so by chance.

    The test is that of two models on the same images, the second of which has the
    limit on each: see :mod:`~mmaslp.metrics.chance`. All limits are tested together.

    Raises:
        ValueError: A metric has no value.
    """
    beyond = {}
    for key, limit in limits.items():
        text = _text_if_beyond(result, key, limit)
        if text:
            beyond[key] = text
    if not beyond:
        return []

    changes, units = _changes_from(result, limits)
    # Of one image nothing has a spread, and nothing is tested.
    tests = max(1, sum(change.is_tested for change in changes.values()))
    told = []
    for key, text in beyond.items():
        chance = _chance_of(changes.get(key), units, tests)
        told.append(replace(chance, text=text + chance.text))
    return told


def _text_if_beyond(result: Result, key: str, limit: float) -> str:
    """Say that a metric is beyond its limit; '' if it is not."""
    value = result.value_of(key)
    if value is None or isnan(value) or isnan(limit):
        raise ValueError(
            f'`limits={key}={limit:g}`: {result.model} has no value of it here, or the '
            'limit is not a number, so that it cannot be checked: leave it out'
        )

    text = f'{result.model}: {key} is {value:.6g}'
    if metric_of(key).better == 'lower':
        if value > limit:
            return f'{text}, above its limit {limit:g}'
    elif value < limit:
        return f'{text}, below its limit {limit:g}'
    return ''


def _chance_of(change: Difference | None, units: Units, tests: int) -> Beyond:
    """Say whether a distance from a limit may be chance, in one of so many tests."""
    if change is not None and not units.can_tell(tests):
        needed = f'{units.text}, and a test needs {units.needed(tests)}'
        return Beyond(f'; too few to judge: {needed}', rings=True)
    if change is None or not change.is_tested:
        return Beyond('; it is not tested over images', rings=True)
    if change.differs:
        return Beyond(', which is more than chance explains', rings=True)
    return Beyond(', which may be chance', rings=False)


def _changes_from(
    result: Result, limits: Mapping[str, float]
) -> tuple[dict[str, Difference], Units]:
    """Compare a result with one that has its limits on every image."""
    images = result.images
    drawn = resample(images, RESAMPLES)
    drawn = replace(drawn, influence=jackknife(images))

    values = {}
    resamples = {}
    influence = {}
    for key, limit in limits.items():
        if key in drawn.values:
            values[key] = np.array(limit)
            resamples[key] = np.full_like(drawn.drawn[key], limit)
            influence[key] = np.zeros_like(drawn.influence[key])
    name = 'images'
    if images.groups is not None:
        name = 'groups'
    units = Units(drawn.units, drawn.units, paired=True, name=name)
    at_limits = Resamples(values, resamples, drawn.units, influence)
    return differences(at_limits, drawn, units), units
