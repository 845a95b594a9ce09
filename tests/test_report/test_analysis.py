import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mmaslp.core.measure.bootstrap import paired_bootstrap
from mmaslp.report.analysis import Estimate, analyse

# Not importable by name under pytest's importlib mode.
helper = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('sections.py')))
entry, report = helper.entry, helper.report


def test_estimates_are_those_of_the_result():
    one = entry()
    (group,) = analyse(report(one), 5).sets
    (member,) = group.members
    assert list(member.estimates)[:3] == ['ece', 'oe', 'ue']
    for key, estimate in member.estimates.items():
        assert estimate.value == one.result[key], key
        assert [estimate.low, estimate.high] == one.result['intervals'][key], key


def test_intervals_that_a_result_lacks_are_drawn():
    (group,) = analyse(report(entry(resamples=0)), 20).sets
    estimate = group.members[0].estimates['ece']
    assert estimate.has_interval and estimate.low < estimate.value < estimate.high


def test_same_images_are_compared_pairwise():
    one, two = entry('A', gain=0.6), entry('B', gain=2.0)
    (group,) = analyse(report(one, two), 30).sets
    found = group.differences['B', 'A']
    expected = paired_bootstrap(one.images, two.images, 30)
    for key in ('ece', 'oe', 'nll', 'ece_band'):
        change = found[key]
        assert change.value == pytest.approx(expected[key]['difference'])
        assert change.low == pytest.approx(expected[key]['low'])
        assert change.value == pytest.approx(-group.differences['A', 'B'][key].value)


def test_other_images_are_another_set():
    found = analyse(report(entry('A'), entry('B', number=3)), 5)
    assert [group.name for group in found.sets] == ['test', 'test (2)']
    assert not found.sets[0].differences


def test_one_name_for_two_models_is_numbered():
    found = analyse(report(entry('A', gain=1), entry('A', gain=2)), 5)
    assert found.models == ('A', 'A (2)') and len(found.sets) == 1


def test_one_model_on_two_equal_sets_has_two_sets():
    found = analyse(report(entry('A', 'one'), entry('A', 'two')), 5)
    assert [group.name for group in found.sets] == ['one', 'two']
    assert found.models == ('A',)


def test_means_leave_out_sets_without_objects():
    from dataclasses import replace

    sets = [entry('A', 'x'), entry('A', 'y', seed=1), entry('A', 'z', seed=2)]
    sets[2] = replace(sets[2], ood=True)
    mean = analyse(report(*sets), 20).means['A']['ece']
    own = [each.result['ece'] for each in sets[:2]]
    assert mean.value == pytest.approx(np.mean(own))
    assert mean.low < mean.value < mean.high
    assert not analyse(report(*sets[1:]), 5).means


def test_the_same_image_twice_is_refused():
    one = entry()
    one.result['images']['names'] = ['a', 'a', 'b', 'c']
    with pytest.raises(ValueError, match='A, test: the same image'):
        analyse(report(one), 5)


def test_an_empty_evaluation_is_undefined():
    (group,) = analyse(report(entry(number=0)), 5).sets
    assert not group.members[0].estimates['ece'].defined


def test_zero_within_an_interval():
    assert not Estimate(0.1, -0.1, 0.2).without_zero
    assert Estimate(0.1, 0.05, 0.2).without_zero
    assert not Estimate(0.1).without_zero
