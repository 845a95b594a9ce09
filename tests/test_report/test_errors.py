import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mmaslp.report.analysis import analyse
from mmaslp.report.errors import breakdowns, by_set

# Not importable by name under pytest's importlib mode.
helper = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('sections.py')))


def divided(*entries):
    return breakdowns(analyse(helper.report(*entries), 20).sets[0], 20)


def test_groups_hold_all_pixels():
    one = helper.entry(gain=2.0)
    found = divided(one)
    assert [each.title.split()[1] for each in found] == [
        'confidence',
        'distance',
        'size',
    ]
    acc, conf = one.result['acc'], one.result['conf']
    for each in found:
        points = [point for point in each.series[0].points if point is not None]
        share = np.array([point.share for point in points])
        assert share.sum() == pytest.approx(1)
        gap = sum(point.share * point.gap.value for point in points)
        assert gap == pytest.approx(conf - acc, abs=1e-6), each.title


def test_gaps_by_confidence_are_those_of_the_bins():
    one = helper.entry()
    by_confidence = divided(one)[0]
    bins = one.result['bins']
    assert by_confidence.groups == ('0.5–0.6', '0.6–0.7', '0.7–0.8', '0.8–0.9', '0.9–1')
    for place, point in zip(range(5, 10), by_confidence.series[0].points):
        accuracy = bins['right'][place] / bins['count'][place]
        assert point.accuracy == pytest.approx(accuracy)
        assert point.gap.low == pytest.approx(point.confidence - bins['high'][place])
        assert point.gap.low <= point.gap.value <= point.gap.high


def test_gaps_by_distance_are_those_of_the_result():
    one = helper.entry()
    found = divided(one)[1].series[0].points
    for point, gap in zip(found, one.result['bands']['predicted']['gap']):
        assert (point is None) == (gap is None)
        if point is not None:
            assert point.gap.value == pytest.approx(gap)
    last = max(filter(None, found), key=lambda point: point.share).gap
    assert last.low < last.value < last.high


def test_images_are_grouped_by_the_size_of_their_object():
    one = helper.entry()
    # Of 140 pixels: none, 1/64 at most, 1/16 at most, more than a quarter.
    one.result['images']['foreground'] = [0, 2, 5, 100]
    by_size = divided(one)[2]
    assert by_size.groups == ('none', 'up to 1/64', '1/64 to 1/16', 'above 1/4')
    for row, point in enumerate(by_size.series[0].points):
        assert point.images == 1 and not point.gap.has_interval
        own = one.images.take([row]).per_image()
        assert point.gap.value == pytest.approx(float(own['conf'][0] - own['acc'][0]))


def test_older_results_have_fewer_divisions():
    one = helper.entry()
    del one.result['images']['foreground'], one.result['images']['bands']
    assert [each.title for each in divided(one)] == ['By confidence']
    assert divided(helper.entry(mode='positive'))[0].axis == 'probability'


def test_by_set():
    sets = [helper.entry('A', 'x'), helper.entry('A', 'y', seed=1)]
    assert by_set(analyse(helper.report(sets[0]), 5)) is None
    found = by_set(analyse(helper.report(*sets, helper.entry('B', 'x')), 20))
    assert found.groups == ('x', 'y')
    for each, point in zip(sets, found.series[0].points):
        expected = each.result['conf'] - each.result['acc']
        assert point.gap.value == pytest.approx(expected)
    assert found.series[1].points[1] is None
