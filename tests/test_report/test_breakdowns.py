import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mmaslp.files.results import image_table
from mmaslp.report.analysis import analyse
from mmaslp.report.breakdowns import breakdowns

# Not importable by name under pytest's importlib mode.
helper = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('sections.py')))


def divided(*results):
    return breakdowns(analyse(results, 20).sets[0], 20)


def test_groups_hold_all_pixels():
    one = helper.result(gain=2.0)
    found = divided(one)
    assert [each.title.split()[2] for each in found] == [
        'confidence',
        'distance',
        'size',
    ]
    for each in found:
        gaps = each.series['A']
        assert len(gaps.gap) == len(each.groups)
        assert np.nansum(gaps.share) == pytest.approx(1)
        gap = np.nansum(gaps.share * gaps.gap)
        assert gap == pytest.approx(one['conf'] - one['acc'], abs=1e-6), each.title


def test_gaps_by_confidence_are_those_of_the_bins():
    one = helper.result()
    found = divided(one)[0]
    bins, gaps = one['bins'], found.series['A']
    assert found.groups == ('0.5–0.6', '0.6–0.7', '0.7–0.8', '0.8–0.9', '0.9–1')
    for row, place in enumerate(range(5, 10)):
        accuracy = bins['right'][place] / bins['count'][place]
        assert gaps.accuracy[row] == pytest.approx(accuracy)
        low = gaps.confidence[row] - bins['high'][place]
        assert gaps.low[row] == pytest.approx(low)
    assert (gaps.low <= gaps.gap).all() and (gaps.gap <= gaps.high).all()


def test_gaps_by_distance_are_those_of_the_result():
    one = helper.result()
    gaps = divided(one)[1].series['A']
    expected = np.array(one['bands']['predicted']['gap'], float)
    assert gaps.gap == pytest.approx(expected, nan_ok=True)
    last = int(np.argmax(gaps.share))
    assert gaps.low[last] < gaps.gap[last] < gaps.high[last]


def test_images_are_grouped_by_the_size_of_their_object():
    one = helper.result()
    # Of 140 pixels: none, 1/64 at most, 1/16 at most, more than a quarter.
    one['images']['foreground'] = [0, 2, 5, 100]
    by_size = divided(one)[2]
    assert by_size.groups == ('none', 'up to 1/64', '1/64–1/16', 'above 1/4')
    gaps, images = by_size.series['A'], image_table(one).per_image()
    assert gaps.gap == pytest.approx(images['conf'] - images['acc'])
    assert np.isnan(gaps.low).all()  # one image has no interval
