import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from mmaslp.report.reliability import reliability_figure
from mmaslp.report.style import OVER, UNDER, figure_array
from mmaslp.report.text_table import metric_text

# Not importable by name under pytest's importlib mode.
helper = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('sections.py')))
section = helper.section


@pytest.mark.parametrize(('gain', 'colour'), [(4.0, OVER), (0.3, UNDER)])
def test_bars_reach_the_accuracy_and_gaps_have_their_colour(gain, colour):
    result = section(gain, 60)['result']
    top, bottom = reliability_figure({'a': result}).axes
    count, right, conf = (
        np.array(result['bins'][key], float) for key in ('count', 'right', 'conf')
    )
    filled = count > 0
    accuracy, confidence = right[filled] / count[filled], conf[filled] / count[filled]
    bars, gaps = top.containers[0], top.patches[filled.sum() :]
    ends = [bar.get_height() for bar in bars]
    assert ends == pytest.approx(np.minimum(accuracy, confidence))
    of_side = (confidence > accuracy) == (colour == OVER)
    found = [gap.get_height() for gap in gaps if to_hex(gap.get_edgecolor()) == colour]
    assert found == pytest.approx(np.abs(confidence - accuracy)[of_side])
    assert of_side.mean() > 0.5
    shares = [bar.get_height() for bar in bottom.patches]
    assert shares == pytest.approx(100 * count[filled] / count.sum())


@pytest.mark.parametrize('mode', ['top_label', 'positive'])
@pytest.mark.parametrize('number', [0, 1, 4])
def test_diagrams_of_any_size(mode, number):
    result = section(number=number, mode=mode)['result']
    one = figure_array(reliability_figure({'a': result}), 60)
    three = figure_array(reliability_figure(dict.fromkeys('abc', result)), 60)
    assert abs(three.shape[1] - 3 * one.shape[1]) <= 3
    texts = [t.get_text() for t in reliability_figure({'a': result}).axes[0].texts]
    assert any(metric_text(result['ece']) in text for text in texts)


def test_diagram_names_the_marks_that_it_has():
    def legend(*sections):
        results = {str(i): each['result'] for i, each in enumerate(sections)}
        return [t.get_text() for t in reliability_figure(results).legends[0].texts]

    without, both = section(resamples=0), section()
    assert '95 % interval' not in legend(without)
    assert '95 % interval' in legend(without, both)
    assert [t for t in legend(both) if t != '95 % interval'] == legend(without)
    result = {**without['result'], 'num_seeds': 3}
    texts = [t.get_text() for t in reliability_figure({'a': result}).axes[0].texts]
    assert any('4 images x 3 seeds' in text for text in texts)
