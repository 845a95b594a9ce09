import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mmaslp.report.reliability import (
    figure_array,
    reliability_figure,
    save_figure,
)
from mmaslp.report.style import BAR, OVER, UNDER
from mmaslp.report.text_table import metric_text

# Not importable by name under pytest's importlib mode.
helper = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('sections.py')))
section = helper.section


def colours(figure):
    """How many pixels of the diagram have about the colour of each gap."""
    picture = figure_array(figure).astype(int)
    found = {}
    for name, code in (('over', OVER), ('under', UNDER), ('bar', BAR)):
        rgb = [int(code[i : i + 2], 16) for i in (1, 3, 5)]
        found[name] = int((abs(picture - rgb).max(-1) < 12).sum())
    return found


@pytest.mark.parametrize('gain, side', [(2.0, 'over'), (0.5, 'under')])
def test_diagram_shows_the_side_of_the_gap(gain, side):
    calm = colours(reliability_figure({'a': section(1.0, 60)['result']}))
    found = colours(reliability_figure({'a': section(gain, 60)['result']}))
    assert found[side] > calm[side]
    assert found['bar'] > 1000


@pytest.mark.parametrize('mode', ['top_label', 'positive'])
@pytest.mark.parametrize('number', [0, 1, 4])
def test_diagrams_of_any_size(mode, number):
    result = section(number=number, mode=mode)['result']
    one = figure_array(reliability_figure({'a': result}), 60)
    three = figure_array(reliability_figure(dict.fromkeys('abc', result)), 60)
    assert one.dtype == np.uint8 and one.ndim == 3
    assert abs(three.shape[1] - 3 * one.shape[1]) <= 3
    texts = [t.get_text() for t in reliability_figure({'a': result}).axes[0].texts]
    assert any(metric_text(result['ece']) in text for text in texts)


@pytest.mark.parametrize('suffix, head', [('png', b'\x89PNG'), ('pdf', b'%PDF')])
def test_pictures_are_saved_by_their_ending(tmp_path, suffix, head):
    path = tmp_path / f'x.{suffix}'
    save_figure(reliability_figure({'a': section()['result']}), path)
    assert path.read_bytes().startswith(head)
    with pytest.raises(ValueError, match=r'x\.jpg'):
        save_figure(reliability_figure({'a': section()['result']}), tmp_path / 'x.jpg')


def test_diagram_needs_a_result():
    with pytest.raises(ValueError, match='at least one'):
        reliability_figure({})


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
    assert '4 images x 3 seeds' in texts[0]
