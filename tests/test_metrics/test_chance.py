"""The test of a difference: its level, what it takes, several metrics together."""

from math import comb

import numpy as np
import pytest
from scipy import stats

from mmaslp.metrics.bootstrap import Resamples, differences
from mmaslp.metrics.chance import LEVEL, MOST_ERRORS, Units, holm, standard_errors


def of_means(values, resamples, seed):
    """Resamples of the mean of values, as of a metric."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(values), size=(resamples, len(values)))
    means = {'a': values.mean(0)[0], 'b': values.mean(0)[1], 'c': values.mean(0)[2]}
    of_draws = values[drawn].mean(1)
    columns = {key: of_draws[:, place] for place, key in enumerate('abc')}
    return Resamples(
        {key: np.array(mean) for key, mean in means.items()},
        columns,
        len(values),
        dict(zip('abc', (values - values.mean(0)).T)),
    )


@pytest.mark.parametrize('number', [8, 12, 40])
def test_equal_models_seldom_differ(number):
    called = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        shared = rng.normal(size=(number, 3))
        sides = []
        for _ in range(2):
            values = shared + rng.normal(size=(number, 3))
            sides.append(of_means(values, 400, seed))
        found = differences(*sides, Units(number, number))
        called += any(change.differs for change in found.values())
    assert called <= 0.05 * 200 + 6


def test_one_metric_is_students_t():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(15, 3))
    second = rng.normal(0.8, size=(15, 3))
    sides = [of_means(values, 400, 1) for values in (first, second)]
    found = differences(*sides, Units(15, 15), without=('b', 'c'))
    expected = stats.ttest_rel(second[:, 0], first[:, 0])
    assert list(found) == ['a']
    assert found['a'].p_value == pytest.approx(expected.pvalue, rel=0.3)
    interval = expected.confidence_interval(1 - LEVEL)
    assert found['a'].low == pytest.approx(interval.low, abs=0.02)
    assert found['a'].high == pytest.approx(interval.high, abs=0.02)


@pytest.mark.parametrize('tests', [1, 3, 17])
@pytest.mark.parametrize('level', [LEVEL, 1e-3])
def test_what_a_test_takes_follows_from_its_least_p(tests, level):
    needed = Units(2, 2).needed(tests, level)
    assert 2 * 0.5**needed <= level / tests < 2 * 0.5 ** (needed - 1)
    assert Units(needed, needed).can_tell(tests, level)
    assert not Units(needed - 1, needed - 1).can_tell(tests, level)

    needed = Units(2, 2, paired=False).needed(tests, level)
    assert 2 / comb(2 * needed, needed) <= level / tests
    assert 2 / comb(2 * needed - 2, needed - 1) > level / tests


def test_holm_by_hand():
    assert holm({}) == {}
    found = holm({'a': 0.01, 'b': 0.04, 'c': 0.03, 'd': 0.9})
    expected = {'a': 0.04, 'c': 0.09, 'b': 0.09, 'd': 0.9}
    assert found == pytest.approx(expected)


def test_what_has_no_spread():
    assert standard_errors(0.0, 0.0) == 0
    assert standard_errors(0.1, 0.0) == MOST_ERRORS
    assert standard_errors(-0.1, 0.05) == pytest.approx(2)
    equal = Resamples(
        {'a': np.array(0.5)}, {'a': np.full(20, 0.5)}, 20, {'a': np.zeros(20)}
    )
    [change] = differences(equal, equal, Units(20, 20)).values()
    assert not change.is_tested
    assert not change.differs
