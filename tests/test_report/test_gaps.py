import numpy as np
import pytest

from mmaslp.report.breakdowns import Breakdown, Gaps
from mmaslp.report.gaps import gap_figure

GAP = np.array([0.1, np.nan, -0.02])
GAPS = Gaps(GAP, GAP - 0.01, GAP + 0.02, GAP, GAP, GAP)


def test_gaps_with_their_intervals_on_red_and_blue():
    breakdown = Breakdown('T', 'groups', ('a', 'b', 'c'), {'M$1$': GAPS, 'N': GAPS})
    figure = gap_figure(breakdown, ['M$1$', 'N'])
    (axes,) = figure.axes
    first, second = (each.lines[0] for each in axes.containers)
    assert first.get_ydata() == pytest.approx(GAP, nan_ok=True)
    assert first.get_color() != second.get_color()
    assert first.get_marker() != second.get_marker()
    bars = axes.containers[0].lines[2][0].get_segments()
    assert bars[0][:, 1] == pytest.approx([0.09, 0.12])
    low, high = axes.get_ylim()
    assert low < -0.03 and high > 0.12
    ends = [patch.get_y() + patch.get_height() for patch in axes.patches]
    assert ends == pytest.approx([high, 0])  # over-confident above 0, under below
    assert [each.get_text() for each in axes.get_xticklabels()] == ['a', 'b', 'c']
    assert [text.get_text() for text in figure.legends[0].texts] == ['M$1$', 'N']


def test_a_model_keeps_its_colour_on_every_diagram():
    breakdown = Breakdown('T', 'groups', ('a', 'b', 'c'), {'N': GAPS})
    alone = gap_figure(breakdown, ['N']).axes[0].containers[0].lines[0]
    second = gap_figure(breakdown, ['M', 'N']).axes[0].containers[0].lines[0]
    assert alone.get_color() != second.get_color()
