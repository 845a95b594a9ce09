import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from mmaslp.report.analysis import analyse
from mmaslp.report.charts import (
    gap_chart,
    reliability_chart,
    reliability_overlay,
)
from mmaslp.report.errors import breakdowns

# Not importable by name under pytest's importlib mode.
helper = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('sections.py')))


@pytest.fixture(scope='module')
def divided():
    report = helper.report(helper.entry('<A>', gain=0.6), helper.entry('B', gain=2.0))
    return breakdowns(analyse(report, 20).sets[0], 20)


def titles(chart):
    root = ElementTree.fromstring(chart.svg)
    assert root.get('role') == 'group' and root.get('aria-label')
    return [each.text for each in root.iter('title')]


def test_reliability_of_one_model(divided):
    calm, bold = (reliability_chart(divided[0], series) for series in divided[0].series)
    assert calm.title == '<A>' and '&lt;A&gt;' in calm.svg and '<A>' not in calm.svg
    found = titles(bold)
    assert len(found) == 5 and found[0].startswith('0.5–0.6: confidence 0.')
    point = divided[0].series[1].points[-1]
    assert f'gap {point.gap.value:+.4f} [{point.gap.low:+.4f}, ' in found[-1]
    assert f'{point.share:.2%} of the pixels' in found[-1]
    assert 'class="over"' in bold.svg and 'class="under"' in calm.svg
    assert 'class="whisker"' in bold.svg


def test_reliability_of_all_models(divided):
    found = titles(reliability_overlay(divided[0]))
    assert len(found) == 10 and found[0].startswith('<A>, 0.5–0.6: ')


def test_gaps(divided):
    for breakdown in divided:
        chart = gap_chart(breakdown)
        filled = sum(p is not None for s in breakdown.series for p in s.points)
        assert len(titles(chart)) == filled == len(chart.table.rows)
    row = chart.table.rows[0]
    assert row.heads[0] == '<A>' and row.cells[-1].value == '4'


def test_marks_stay_inside(divided):
    tall = replace(divided[2].series[0].points[-1])
    tall = replace(tall, gap=replace(tall.gap, value=0.9, low=-0.9, high=0.95))
    series = replace(divided[2].series[0], points=(tall,))
    chart = gap_chart(replace(divided[2], groups=('x',), series=(series,)))
    for each in ElementTree.fromstring(chart.svg).iter('rect'):
        assert 8 <= float(each.get('y')) <= 198.1 and float(each.get('height')) >= 0


def test_empty_evaluations_have_empty_diagrams():
    report = helper.report(helper.entry(number=0))
    for breakdown in breakdowns(analyse(report, 5).sets[0], 5):
        assert titles(gap_chart(breakdown)) == []
    chart = reliability_chart(breakdown, breakdown.series[0])
    assert titles(chart) == []
