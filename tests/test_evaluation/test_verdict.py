"""Sentences of a comparison: what is named, what is chance, what to do."""

import re
from dataclasses import replace
from math import nan

import pytest

from mmaslp.evaluation.comparison import Comparison, Measured
from mmaslp.evaluation.verdict import describe, headline, overall_verdict, verdict
from mmaslp.metrics.bootstrap import Difference
from tests.test_report import sections as helper


def change(first, second, error):
    """A difference whose interval has a half width of two standard errors."""
    size = second - first
    low = size - 2 * error
    high = size + 2 * error
    return Difference(first, second, size, low, high, low > 0 or high < 0, size, error)


def comparison(metrics, first='A', second='B', calibrated=(False, False)):
    return Comparison(first, second, 'set', calibrated, (40, 40), True, metrics)


BETTER = {
    'ece': change(0.1493, 0.0095, 0.01),
    'ece_band': change(0.03, 0.02, 0.001),
    'nll': change(0.3, 0.25, 0.01),
}


def test_the_largest_change_beyond_chance_is_named():
    said = verdict(comparison(BETTER, 'net', 'net', (False, True)))
    assert said == (
        'net with its calibrator is better than without it: ECE 0.0095 instead of '
        '0.1493 (difference -0.1598 to -0.1198), which is more than chance explains. '
        'Use the calibrator.'
    )
    uncertain = {**BETTER, 'ece': change(0.1493, 0.0095, 0.2)}
    assert 'ECE by band 0.0200 instead of 0.0300' in verdict(comparison(uncertain))
    assert verdict(comparison(BETTER)).endswith(
        'Take B if another training of each agrees.'
    )


def test_a_change_that_may_be_chance_is_no_reason():
    metrics = {key: change(0.2, 0.21, 0.1) for key in BETTER}
    said = verdict(comparison(metrics))
    assert said.startswith('The calibration of B and A cannot be told apart: the la')
    assert said.endswith('may be chance. Keep A, or measure more images.')
    said = verdict(comparison({**metrics, 'dice': change(0.8, 0.7, 0.01)}))
    assert said.endswith(
        'the masks differ: Dice 0.7000 instead of 0.8000. Keep A '
        'if another training of each agrees.'
    )
    metrics = {key: change(0.2, 0.2, 0.1) for key in BETTER}
    assert verdict(comparison(metrics)) == 'B and A are equal in pixels and masks.'
    # Maps of 8 bits and of 16.
    metrics = {key: change(0.2, 0.20004, 1e-6) for key in BETTER}
    assert verdict(comparison(metrics)) == 'B and A are equal in pixels and masks.'
    metrics = {key: change(0.2, 0.21, nan) for key in BETTER}
    assert verdict(comparison(metrics)).startswith('There are too few images')


@pytest.mark.parametrize(
    ('metrics', 'words'),
    [
        ({'nll': change(0.2, 0.3, 0.01)}, 'Take B for ECE and ECE by band, A for NLL.'),
        ({'dice': change(0.8, 0.7, 0.01)}, 'But it is worse in Dice 0.7000 instead of'),
        (
            {'ece': change(0.1, 0.2, 0.01), 'acc': change(0.8, 0.9, 0.01)},
            'A for ECE',
        ),
    ],
)
def test_what_changes_to_the_other_side_is_named(metrics, words):
    if words.startswith('A for'):
        metrics['nll'] = change(0.3, 0.4, 0.01)
        metrics['ece_band'] = change(0.3, 0.4, 0.01)
        said = verdict(comparison(metrics))
        assert said.startswith('B is worse calibrated than A: ECE')
        assert said.endswith('Take B for accuracy, A for ECE, ECE by band and NLL.')
        return
    assert words in verdict(comparison({**BETTER, **metrics}))


def test_worse_is_said_and_kept():
    metrics = {'ece': change(0.01, 0.2, 0.01)}
    assert verdict(comparison(metrics)).endswith(
        'Keep A if another training of each agrees.'
    )
    said = verdict(comparison(metrics, 'net', 'net', (False, True)))
    assert said.endswith('or fit it to more images like these.')


def test_no_network_is_advised_on_other_images():
    said = verdict(replace(comparison(BETTER), paired=False))
    assert said.endswith('on other images: measure both on the same ones.')


def test_raw_against_calibrated_is_said():
    said = verdict(comparison(BETTER, 'A', 'B', (False, True)))
    assert said.startswith('Only A is without a calibrator')
    assert 'B, calibrated is better than A:' in said
    same = verdict(comparison(BETTER, 'A', 'B', (True, True)))
    assert same.startswith('B, calibrated is better than A, calibrated:')


def test_the_verdict_on_a_set_is_that_on_the_smallest_nll():
    rows = [
        Measured(helper.result(name, gain=gain, number=12), 100)
        for name, gain in (('A', 4.0), ('B', 0.5), ('C', 1.0))
    ]
    assert [row.result.model for row in headline(rows)] == ['A', 'C']
    said = overall_verdict(rows)
    assert said.startswith('Best of all 3 is C: it has the smallest NLL, ')
    assert 'C is better than A:' in said
    # Also of the one that is in no headline it says how it errs, and what follows.
    assert re.findall(r'([ABC]): [\d.]+% sure', said) == ['A', 'B', 'C']
    assert 'A: 9' in said
    steps = (
        'Best of all 3 is C',
        ' A: 9',
        ' B: ',
        'A is too sure: a calibrator (mmaslp fit) helps, and so does training with le',
        'B and C are not sure enough: a calibrator (mmaslp fit) helps, and so does ',
        'C is better than A:',
    )
    places = [said.index(step) for step in steps]
    assert places == sorted(places)
    alone = overall_verdict(rows[:1])
    assert alone.startswith('A: 9')
    assert 'too sure by' in alone
    assert 'mmaslp fit' in alone


def test_no_calibrator_is_advised_where_no_object_is_found():
    row = helper.result('A', gain=4.0, number=12)
    blind = replace(row, metrics={**row.metrics, 'dice': 0.0})
    said = overall_verdict([Measured(blind, 100)])
    assert 'It finds no object.' in said
    assert 'mmaslp fit' not in said


@pytest.mark.parametrize('number', [4, 12, 30])
def test_few_images_are_said_beside_the_figures_of_one_network(number):
    said = overall_verdict([Measured(helper.result('A', gain=4.0, number=number), 100)])
    assert (f'{number} images or groups are few' in said) == (number < 30)
    assert ('mmaslp fit' in said) == (number >= 5)


def test_the_verdict_on_a_set_compares_like_with_like():
    rows = [
        Measured(helper.result(name, calibrator=kind, gain=gain, number=12), 100)
        for name, kind, gain in (
            ('A', None, 4.0),
            ('A, calibrated', 'isotonic', 2.0),
            ('B', None, 3.0),
            ('B, calibrated', 'isotonic', 1.0),
        )
    ]
    said = overall_verdict(rows)
    assert said.startswith('Best of all 4 is B, calibrated: it has the smallest NLL')
    assert 'B, calibrated is better than A, calibrated:' in said
    for name in ('A', 'A, calibrated', 'B', 'B, calibrated'):
        assert f' {name}: ' in said
    assert overall_verdict(rows[:2]).startswith('A with its calibrator is better')
    assert overall_verdict([rows[3], rows[0]]).startswith('Only A is without')


def test_without_pixels_nothing_is_claimed():
    assert describe(helper.result(number=0)) == 'A: there is no pixel to measure.'


UNSURE = {
    'ece': change(0.1, 0.01, 0.001),
    'conf': change(0.80, 0.85, 0.01),
    'acc': change(0.85, 0.85, 0.01),
}


@pytest.mark.parametrize(
    ('names', 'calibrated', 'words'),
    [
        (
            ('net', 'net'),
            (False, True),
            'net is not sure enough without a calibrator: t',
        ),
        (('A', 'B'), (False, False), 'A is not sure enough: a calibrator (mmaslp'),
    ],
)
def test_what_follows_is_said_with_and_without_a_calibrator(names, calibrated, words):
    said = verdict(comparison(UNSURE, *names, calibrated))
    assert ': 80.0% sure, 85.0% right (not sure enough by 5.0 points).' in said
    assert words in said
    assert re.search(
        r'with less smoothing \(smaller levels\)(?: helps)?, if there was', said
    )


def test_both_in_one_direction_are_named_together():
    both = {**UNSURE, 'conf': change(0.80, 0.81, 0.01)}
    assert 'Both are not sure enough: a calibrator' in verdict(comparison(both))
    sure = {**UNSURE, 'conf': change(0.95, 0.90, 0.01)}
    assert 'Both are too sure: a calibrator' in verdict(comparison(sure))
