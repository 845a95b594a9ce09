import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from mmaslp.files.results import load_result, save_result
from mmaslp.report.bands import band_figure
from mmaslp.report.style import OVER, UNDER, figure_array
from mmaslp.report.text_table import metric_text

# Not importable by name under pytest's importlib mode.
helper = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('sections.py')))
section = helper.section


@pytest.mark.parametrize(('gain', 'colour'), [(4.0, OVER), (0.3, UNDER)])
def test_gaps_have_the_colour_of_their_side(gain, colour):
    result = section(gain, 30)['result']
    top, bottom = band_figure({'a': result}).axes
    columns = result['bands']['predicted']
    assert {to_hex(bar.get_edgecolor()) for bar in top.patches} == {colour}
    gaps = [abs(gap) for gap in columns['gap'] if gap == gap]
    assert [bar.get_height() for bar in top.patches] == pytest.approx(gaps)
    shares = [bar.get_height() / 100 for bar in bottom.patches]
    assert shares == pytest.approx(columns['share'])
    drawn = [line.get_ydata() for line in top.lines]
    for values, key in zip(drawn, ('accuracy', 'confidence')):
        assert values == pytest.approx([v for v in columns[key] if v == v])


@pytest.mark.parametrize('number', [0, 1, 4])
def test_diagrams_of_any_size(number):
    result = section(number=number)['result']
    one = figure_array(band_figure({'a': result}), 60)
    two = figure_array(band_figure(dict.fromkeys('ab', result)), 60)
    assert one.dtype == np.uint8 and abs(two.shape[1] - 2 * one.shape[1]) <= 3
    text = str([t.get_text() for t in band_figure({'a': result}).axes[0].texts])
    assert f'ECE by band {metric_text(result["ece_band"])}' in text
    assert ('[0' in text) == (number > 1)


def test_results_from_a_file(tmp_path):
    save_result(tmp_path / 'r.json', section(number=3)['result'])
    result = load_result(tmp_path / 'r.json')[0]
    assert np.isnan(result['bands']['predicted']['gap']).any()
    assert figure_array(band_figure({'a': result}), 40).size
