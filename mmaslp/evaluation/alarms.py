"""Alarms of products: a metric that is worse beyond chance, or beyond its limit."""

from collections.abc import Mapping, Sequence
from math import ceil, comb, isnan, log2, sqrt

from scipy.special import stdtrit

from ..common.arguments import reading
from ..metrics.bootstrap import ALARM, Difference
from ..metrics.catalogue import METRICS, SHOWN, metric_of
from .comparison import Comparison
from .result import Result

# Metrics that are tested by default: over-confidence alone shows drift more surely.
TESTED = (*SHOWN, 'oe', 'ue')
# Others lie in [0, 1], or are per cent; NLL clamps p at 1e-7.
LARGEST_NLL = 16.2


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
    changes = {
        key: change
        for key, change in comparison.metrics.items()
        if metric_of(key).better and not isnan(change.low + change.unbiased)
    }
    for key in keys:
        if key not in changes:
            raise ValueError(
                f'--fail-if-worse {key}: it has no value with an interval in both '
                'results, or neither side is better, so that the alarm cannot ring; '
                'take one of '
                f'{", ".join(changes) or "more images"}'
            )
    tested = [key for key in dict.fromkeys(keys or TESTED) if key in changes]
    _check_images(comparison, len(tested))

    # Student's t, since few images tell their own spread, and a bootstrap of n images
    # tells one that is sqrt((n - 1) / n) of it.
    n = min(comparison.images)
    least = -stdtrit(n - 1, ALARM / len(tested)) * sqrt(n / (n - 1))
    return {
        key: size
        for key in tested
        if (size := _standard_errors(key, changes[key])) > least
    }


def _standard_errors(key: str, change: Difference) -> float:
    """How much worse the second is, in standard errors; at most 1e6."""
    worse = change.unbiased if metric_of(key).better == 'lower' else -change.unbiased
    if worse <= 0:
        return 0.0
    return min(worse / change.error, 1e6) if change.error > 0 else 1e6


def _check_images(comparison: Comparison, tests: int) -> None:
    """Refuse fewer images than any test needs to reach the level of the alarm.

    The least p is reached where every image is worse: 2 ** -n of n pairs (the sign
    test), one order of all of n and m images (the test of Wilcoxon, Mann and Whitney).
    """
    one, other = comparison.images
    least = 0.5**one if comparison.paired else 1 / comb(one + other, one)
    if tests == 0 or least > ALARM / tests:
        needed = ceil(log2(max(tests, 1) / ALARM))
        raise ValueError(
            f'--fail-if-worse: {one} and {other} images cannot show that one of '
            f'{tests} metrics is worse at a level of {ALARM:g}, so that the alarm '
            f'cannot ring; take {needed} images or more'
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
            raise ValueError(f'--limit {text}: {key} has another limit: give one')
        if not metric.better:
            keys = ', '.join(each.key for each in METRICS if each.better)
            raise ValueError(
                f'--limit {text}: name a metric that can be worse, of {keys}'
            )
        with reading(f'--limit {text}: write {key}=NUMBER'):
            limits[key] = limit = float(value)

        largest = LARGEST_NLL if key == 'nll' else 100.0 if '%' in key else 1.0
        lower = metric.better == 'lower'
        if not (0 <= limit < largest if lower else 0 < limit <= largest):
            raise ValueError(
                f'--limit {text}: {metric.label} lies between 0 and {largest:g}, so '
                'that this limit would tell nothing'
            )
    return limits


def beyond_limits(result: Result, limits: Mapping[str, float]) -> list[str]:
    """Say which metrics are beyond their limits.

    Raises:
        ValueError: A metric has no value.
    """
    values = {**result.measures, **result.metrics}
    beyond = []
    for key, limit in limits.items():
        value = values.get(key)
        if value is None or isnan(value) or isnan(limit):
            raise ValueError(
                f'--limit {key}={limit:g}: {result.model} has no value of it here, or '
                'the limit is not a number, so that it cannot be checked: leave it out'
            )

        lower = metric_of(key).better == 'lower'
        if value > limit if lower else value < limit:
            side = 'above' if lower else 'below'
            beyond.append(
                f'{result.model}: {key} is {value:.6g}, {side} its limit {limit:g}'
            )
    return beyond
