"""For every alarm a case in which it rings and one in which it must not."""

from dataclasses import replace
from math import nan

import numpy as np
import pytest

from mmaslp.evaluation.alarms import beyond_limits, read_limits, worse_metrics
from mmaslp.evaluation.comparison import Measured, compare
from mmaslp.metrics.catalogue import METRICS
from mmaslp.metrics.chance import ALARM
from mmaslp.metrics.image_metrics import metrics_of_sums
from tests.test_report import sections as helper

SETTINGS = dict(number=40, resamples=0)


def compared(first, second, rows=None, **options):
    given = {**SETTINGS, **options}
    sides = [
        Measured(helper.result(gain=gain, **given), 200) for gain in (first, second)
    ]
    if rows is not None:
        sides = [
            replace(
                side, result=replace(side.result, images=side.result.images.take(rows))
            )
            for side in sides
        ]
    return compare(*sides)


def unpaired(gain, number=40):
    given = helper.result(gain=gain, seed=1, number=number, resamples=0)
    names = [f'new{name}' for name in given.images.names]
    base = Measured(helper.result(gain=1.0, **SETTINGS), 200)
    return compare(base, Measured(helper.renamed(given, names), 200))


@pytest.mark.parametrize('keys', [(), ('ece',), ('nll', 'ece_band', 'brier')])
def test_worse_beyond_chance(keys):
    assert worse_metrics(compared(1.0, 3.0), keys)  # too sure
    assert not worse_metrics(compared(3.0, 1.0), keys)
    assert not worse_metrics(compared(1.0, 1.0), keys)
    assert worse_metrics(unpaired(4.0), keys)
    assert not worse_metrics(unpaired(1.0), keys)


def test_few_images_take_a_larger_difference():
    found = compared(1.0, 3.0)
    sizes = {
        'ece': replace(found.metrics['ece'], difference=3.5, unbiased=3.5, error=1.0)
    }
    for number, rings in ((14, False), (1000, True)):
        given = replace(found, metrics=sizes, images=(number, number))
        assert bool(worse_metrics(given)) == rings


@pytest.mark.parametrize('key', ['ks', 'ece_em', 'mae', 'ece_sweep'])
def test_a_metric_without_an_interval_is_refused(key):
    with pytest.raises(ValueError, match=f'`keys={key}`: it has no value wi'):
        worse_metrics(compared(1.0, 3.0), ['ece', key])


def test_a_metric_without_a_value_is_refused():
    found = compared(1.0, 3.0)
    metrics = {**found.metrics, 'dice': replace(found.metrics['dice'], low=nan)}
    with pytest.raises(
        ValueError, match='`keys=dice`: it has no value with an interval'
    ):
        worse_metrics(replace(found, metrics=metrics), ['dice'])
    with pytest.raises(ValueError, match='the alarm cannot ring'):
        worse_metrics(replace(found, metrics={}))


@pytest.mark.parametrize(('keys', 'least'), [(('ece',), 10), (('ece', 'nll'), 11)])
def test_the_least_number_of_images_follows_from_the_least_p(keys, least):
    assert 0.5**least <= ALARM / len(keys) < 0.5 ** (least - 1)
    assert worse_metrics(compared(1.0, 5.0, np.arange(least)), keys)
    few = compared(1.0, 5.0, np.arange(least - 1))
    with pytest.raises(ValueError, match=f'take {least} images or more'):
        worse_metrics(few, keys)
    with pytest.raises(ValueError, match='40 and 2 images cannot show'):
        worse_metrics(unpaired(4.0, number=2), keys)


def test_limits_ring_and_stay_silent():
    result = helper.result(gain=2.0)
    ece, dice = result.metrics['ece'], result.metrics['dice']
    silent = read_limits([f'ece={ece + 1e-3}', f'dice={dice - 1e-3}'])
    assert beyond_limits(result, silent) == []
    loud = read_limits([f'ece={ece - 1e-3}', f'dice={dice + 1e-3}'])
    beyond = beyond_limits(result, loud)
    # Of four images nothing can be told, and a limit is not passed over in silence.
    assert all(limit.rings for limit in beyond)
    texts = [limit.text for limit in beyond]
    assert all(
        'too few to judge: 4 images, and a test needs 7' in text for text in texts
    )
    assert [text.split(' is ')[0] for text in texts] == ['A: ece', 'A: dice']
    assert 'above its limit' in texts[0]
    assert 'below its limit' in texts[1]
    assert read_limits(['mIoU %=70']) == {'mIoU %': 70.0}


def test_a_limit_obeys_the_test_of_a_difference():
    result = helper.result(gain=2.0, number=40)
    dice = result.metrics['dice']
    [chance] = beyond_limits(result, read_limits([f'dice={dice + 1e-3}']))
    assert not chance.rings
    assert chance.text.endswith(', which may be chance')
    [certain] = beyond_limits(result, read_limits([f'dice={dice + 0.1}']))
    assert certain.rings
    assert certain.text.endswith(', which is more than chance explains')
    # What is sorted over all pixels has no spread over images.
    [sorted_all] = beyond_limits(result, {'ks': result.metrics['ks'] - 1e-3})
    assert sorted_all.rings
    assert sorted_all.text.endswith('it is not tested over images')


def test_a_limit_counts_groups_where_they_are_known():
    result = helper.result(gain=2.0, number=40)
    limits = read_limits([f'dice={result.metrics["dice"] + 0.1}'])
    images = result.images.grouped(np.arange(40) // 10)
    [beyond] = beyond_limits(replace(result, images=images), limits)
    assert 'too few to judge: 4 groups, and a test needs 6' in beyond.text


def test_a_limit_of_one_image_rings():
    [beyond] = beyond_limits(helper.result(gain=2.0, number=1), {'dice': 0.999})
    assert beyond.rings
    assert 'too few to judge: 1 images, and a test needs 6' in beyond.text


def test_limits_of_equal_networks_hold_their_level():
    """The limit is the true value: at most 5 % of samples are beyond it."""
    population = helper.result(gain=1.5, number=300, resamples=0)
    metrics = population.metrics
    limits = {key: metrics[key] for key in ('dice', 'ece_band', 'nll')}
    called = 0
    for seed in range(50):
        rows = np.random.default_rng(seed).choice(300, 30)
        names = [str(row) for row in range(30)]
        images = replace(population.images.take(rows), names=names)
        values = metrics_of_sums(images)
        sample = replace(population, images=images, metrics=values)
        called += any(limit.rings for limit in beyond_limits(sample, limits))
    assert called <= 5  # 5 in 100 and twice its standard error


@pytest.mark.parametrize(
    ('texts', 'words'),
    [
        (['ece=nan'], 'would tell nothing'),
        (['ece=inf'], 'would tell nothing'),
        (['ece=5'], 'would tell nothing'),
        (['ece=1'], 'would tell nothing'),
        (['ece=-.1'], 'would tell nothing'),
        (['dice=0'], 'would tell nothing'),
        (['dice=1.1'], 'would tell nothing'),
        (['nll=17'], 'would tell nothing'),
        (['mIoU %=101'], 'would tell nothing'),
        (['ece'], 'write ece=NUMBER'),
        (['ece=high'], 'write ece=NUMBER'),
        (['conf=.5'], 'name a metric that can be worse'),
        (['nonsense=.5'], 'name a metric that can be worse'),
        (['ece=.1', 'ece=.9'], 'ece has another limit'),
    ],
)
def test_a_limit_that_tells_nothing_is_refused(texts, words):
    with pytest.raises(ValueError, match=words):
        read_limits(texts)


def test_a_limit_of_what_was_not_measured_is_refused():
    with pytest.raises(ValueError, match='A has no value of it here'):
        beyond_limits(helper.result(), read_limits(['mae=.1']))
    with pytest.raises(ValueError, match='not a number'):
        beyond_limits(helper.result(), {'ece': float('nan')})
    assert read_limits(['nll=2', 'dice=1', 'ece=0'])


def test_metrics_lie_where_limits_are_looked_for():
    """All but NLL lie in [0, 1], for a network that is always wrong and sure."""
    result = helper.result(gain=-9.0, number=12)
    for metric in METRICS:
        value = result.metrics.get(metric.key, nan)
        if metric.better and metric.key != 'nll' and not np.isnan(value):
            assert -1e-9 <= value <= 1 + 1e-9, metric.key
