from copy import deepcopy

import numpy as np
import pytest
from matplotlib.colors import to_hex

from mmaslp.evaluation.result import load_results, save_result
from mmaslp.metrics.band_table import band_columns
from mmaslp.report.diagrams import (
    OVER,
    UNDER,
    alpha_histogram,
    band_figure,
    clean_axes,
    figure_array,
    figure_svg,
    new_figure,
    reliability_figure,
    save_figure,
)
from mmaslp.report.tables import number_text

from . import sections as helper

section = helper.section


@pytest.mark.parametrize(('gain', 'colour'), [(4.0, OVER), (0.3, UNDER)])
def test_bars_reach_the_accuracy_and_gaps_have_their_colour(gain, colour):
    result = section(gain, 60)
    top, bottom = reliability_figure({'a': result}).axes
    bins = result.bins
    count, right, conf = bins.count, bins.correct, bins.conf
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


def test_a_mean_that_a_file_lacks_is_left_out():
    result = section(4.0, 20)
    del result.metrics['acc'], result.metrics['conf']
    title = reliability_figure({'a': result}).axes[0].get_title(loc='left')
    assert 'nan' not in title.lower()


@pytest.mark.parametrize(('gain', 'colour'), [(4.0, OVER), (0.3, UNDER)])
def test_bands_have_the_colour_of_their_side(gain, colour, tmp_path):
    save_result(tmp_path / 'r.json', section(gain, 30))
    [result] = load_results(tmp_path / 'r.json')
    top, bottom = band_figure({'a': result}).axes
    columns = band_columns(result.bands['predicted'])
    known = {key: [v for v in columns[key] if v == v] for key in columns}
    assert len(known['gap']) < len(columns['gap'])  # a band without pixels
    assert {to_hex(bar.get_edgecolor()) for bar in top.patches} == {colour}
    heights = [bar.get_height() for bar in top.patches]
    assert heights == pytest.approx(np.abs(known['gap']))
    shares = [bar.get_height() / 100 for bar in bottom.patches]
    assert shares == pytest.approx([v for v in columns['share'] if v])
    for line, key in zip(top.lines, ('accuracy', 'confidence')):
        assert line.get_ydata() == pytest.approx(known[key])


@pytest.mark.parametrize(
    ('draw', 'key', 'mode'),
    [
        (reliability_figure, 'ece', 'top_label'),
        (reliability_figure, 'ece', 'positive'),
        (band_figure, 'ece_band', 'top_label'),
    ],
)
@pytest.mark.parametrize('number', [0, pytest.param(1, marks=pytest.mark.release), 4])
def test_diagrams_of_any_size(draw, key, mode, number):
    result = section(number=number, mode=mode)
    if key == 'ece_band' and not number:
        pytest.skip('no image, so no bands')
    figure = draw({'a': result})
    one = figure_array(figure, 60)
    assert one.dtype == np.uint8
    beside = draw(dict.fromkeys('ab', result))
    if number == 4:
        two = figure_array(beside, 60)
        assert abs(two.shape[1] - 2 * one.shape[1]) <= 3
    text = ' '.join(t.get_text() for t in figure.axes[0].texts)
    assert number_text(result.metrics[key]) in text
    assert ('[0' in text) == (number > 1)


def test_pixels_at_one_half_do_not_widen_the_axis():
    result = deepcopy(section())
    table = result.images.table
    table.count[0, 4] += 7  # the bin (0.4, 0.5]
    table.conf[0, 4] += 3.5
    top = reliability_figure({'a': result}).axes[0]
    assert top.get_xlim() == (0.48, 1)
    assert min(bar.get_x() for bar in top.patches) >= 0.48


def test_a_picture_of_the_levels():
    picture = alpha_histogram(np.linspace(0, 0.4, 100), beta=2.0)
    assert picture.dtype == np.uint8
    assert picture.shape == (300, 500, 3)
    bars = np.flatnonzero((picture == (184, 199, 218)).all(-1).any(0))
    assert bars[-1] - bars[0] > 300


def drawn():
    figure = new_figure(2, 1)
    axes = figure.add_subplot()
    axes.bar([0, 1], [1, 2], color=OVER + '66')
    axes.plot([0, 1], [1, 2], color=UNDER, marker='o')
    axes.set_title('<b>&', parse_math=False)
    clean_axes(axes)
    return figure


def test_a_page_gets_its_own_colours_and_font():
    svg = str(figure_svg(drawn(), 'a "label"', 'x'))
    assert svg.startswith(
        '<svg class="chart" role="img" aria-label="a &#34;label&#34;"'
    )
    assert svg.rstrip().endswith('</svg>')
    assert 'fill: var(--over); fill-opacity: 0.4' in svg
    assert 'stroke: var(--under)' in svg
    assert OVER not in svg
    assert UNDER not in svg
    assert '&lt;b&gt;&amp;</text>' in svg
    for word in ('DejaVu', 'http', 'url(', '<g id', '<?xml', 'metadata', '<!--'):
        assert word not in svg, word


def test_files_by_their_ending(tmp_path):
    heads = {'png': b'\x89PNG', 'PDF': b'%PDF', 'svg': b'<?xml'}
    for suffix, head in heads.items():
        save_figure(drawn(), tmp_path / f'x.{suffix}')
        content = (tmp_path / f'x.{suffix}').read_bytes()
        assert content.startswith(head)
