import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from mmaslp.core import CalibrationHistogram
from mmaslp.core.calibration.image_table import ImageTable
from mmaslp.evaluation.results import calibration_result
from mmaslp.evaluation.worst_images import WorstImages
from mmaslp.visualization.panels import image_panels
from mmaslp.visualization.reliability import (
    BAR,
    OVER,
    UNDER,
    figure_array,
    reliability_figure,
    save_figure,
)
from mmaslp.visualization.report import write_report
from mmaslp.visualization.text_table import figure_text, format_table, with_mean


def section(gain=1.5, number=4, mode='top_label', resamples=20):
    rng = np.random.default_rng(0)
    total, records, worst = CalibrationHistogram(), [], WorstImages(2)
    for i in range(number):
        logit = rng.normal(0, 2, (14, 10))
        label = (rng.random(logit.shape) < 1 / (1 + np.exp(-logit))).astype(np.uint8)
        prob = 1 / (1 + np.exp(-gain * logit))
        image = CalibrationHistogram()
        image.update(prob, label)
        total.merge(image)
        records.append(ImageTable.record(f'<{i}>.png', image, 10, mode))
        oe = float(ImageTable(records[-1:]).per_image()['oe'][0])
        worst.push(f'<{i}>.png', i, {'oe': oe}, prob, label)
    result = calibration_result(
        total, ImageTable(records), mode=mode, resamples=resamples
    )
    return {'result': result, 'worst': worst.items}


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
    assert any(figure_text(result['ece']) in text for text in texts)


@pytest.mark.parametrize('suffix, head', [('png', b'\x89PNG'), ('pdf', b'%PDF')])
def test_figures_are_saved_by_their_ending(tmp_path, suffix, head):
    path = tmp_path / f'x.{suffix}'
    save_figure(reliability_figure({'a': section()['result']}), path)
    assert path.read_bytes().startswith(head)
    with pytest.raises(ValueError, match=r'x\.jpg'):
        save_figure(reliability_figure({'a': section()['result']}), tmp_path / 'x.jpg')


def test_diagram_needs_a_result():
    with pytest.raises(ValueError, match='at least one'):
        reliability_figure({})


def test_worst_images_are_sorted_and_bounded():
    worst = WorstImages(3)
    prob = label = np.zeros((2, 2))
    for index, oe in enumerate([0.1, 0.5, float('nan'), 0.3, 0.5, 0.2]):
        worst.push(str(index), index, {'oe': oe}, prob, label)
    assert [item['name'] for item in worst.items] == ['1', '4', '3']
    worst.drop_after(4)
    assert [item['name'] for item in worst.items] == ['1', '3']


def test_error_panel_is_red_above_and_blue_below_the_mask():
    item = {
        'prob': np.array([[65535, 0, 65535, 30000]], np.uint16),
        'label': np.array([[0, 1, 1, 255]], np.uint8),
    }
    panels = image_panels(item)
    error = np.asarray(panels['error'])[0]
    assert error[0, 0] > error[0, 2] and error[1, 2] > error[1, 0]
    assert error[2].tolist() == [255] * 3 and len(set(error[3].tolist())) == 1
    assert np.asarray(panels['mask'])[0, 1].tolist() == [255] * 3
    assert list(panels) == ['mask', 'probability', 'error']


def test_photo_is_shown_if_it_can_be_read(tmp_path):
    item = section()['worst'][0]
    Image.new('RGB', (1000, 500)).save(tmp_path / 'x.png')
    assert image_panels(item, tmp_path / 'x.png')['image'].size == (240, 120)
    assert 'image' not in image_panels(item, tmp_path / 'none.png')


class Pictures(HTMLParser):
    def __init__(self):
        super().__init__()
        self.sources, self.links, self.stack = [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == 'img':
            self.sources.append(attrs['src'])
        self.links += [attrs[k] for k in ('href', 'src') if k in attrs]
        if tag not in ('img', 'meta'):
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


def test_report_is_one_file_that_needs_nothing_else(tmp_path):
    path = tmp_path / 'r.html'
    sections = {'A & <B>': section(), 'OOD': section(number=0)}
    write_report(path, sections, {'config': 'unet.py', 'none': None})
    page = path.read_text()
    parser = Pictures()
    parser.feed(page)
    assert not parser.stack
    # two diagrams, three panels of each of two images
    assert len(parser.sources) == 2 + 2 * 3
    assert all(link.startswith('data:image/') for link in parser.links)
    for source in parser.sources:
        data = base64.b64decode(source.split(',')[1])
        if 'png' in source[:20]:
            Image.open(io.BytesIO(data)).verify()
        else:
            assert b'<svg' in data
    assert 'A &amp; &lt;B&gt;' in page and '<B>' not in page
    assert '&lt;0&gt;.png' in page or '&lt;1&gt;.png' in page
    assert 'unet.py' in page and 'viewport' in page
    assert not re.search(r'url\(|@import|<script|<link', page)


def test_report_table_has_rows_mean_and_dashes(tmp_path):
    path = tmp_path / 'r.html'
    sections = {'one': section(1.2), 'two': section(2.0), 'ood': section(number=0)}
    sections['one']['figures'] = {'max_f': 0.5}
    write_report(path, sections)
    table, more = path.read_text().split('</table>')[:2]
    rows = re.findall(r'<tr.*?</tr>', table)
    assert len(rows) == len(re.findall('<tr', more)) == 5
    assert '<td>-</td>' in rows[3] and 'mean' in rows[4]
    mean = np.mean([sections[k]['result']['ece'] for k in ('one', 'two')])
    assert f'{mean:.4f}' in rows[4]
    assert more.count('<td>0.5000</td>') == 2 and more.count('<td>-</td>') == 2
    write_report(path, sections, mean=False)
    assert len(re.findall(r'<tr', path.read_text().split('</table>')[0])) == 4


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


@pytest.mark.parametrize('key', ['ece', 'ece_em', 'ece_sweep', 'ks'])
def test_report_shows_intervals(tmp_path, key):
    path = tmp_path / 'r.html'
    sections = {'one': section()}
    write_report(path, sections)
    result = sections['one']['result']
    low, high = (figure_text(value) for value in result['intervals'][key])
    cells = f'<td>{figure_text(result[key])}</td><td>[{low}, {high}]</td>'
    assert f'<tr><td>{key}</td>{cells}</tr>' in path.read_text()


def test_report_needs_a_section(tmp_path):
    with pytest.raises(ValueError, match='at least one section'):
        write_report(tmp_path / 'r.html', {})


def test_text_table():
    rows = {'a': {'ece': 0.1, 'nll': float('nan')}, 'b': {'ece': 0.3, 'nll': None}}
    lines = format_table(with_mean(rows), ['ece', 'nll']).splitlines()
    assert [line.split() for line in lines] == [
        ['ece', 'nll'],
        ['a', '0.1000', '-'],
        ['b', '0.3000', '-'],
        ['mean', '0.2000', '-'],
    ]
    assert with_mean({'a': {'ece': 1.0}}) == {'a': {'ece': 1.0}}


def test_sets_without_objects_stay_out_of_the_mean():
    rows = {'a': {'ece': 1.0}, 'ood': {'ece': 9.0}, 'b': {'ece': 3.0}}
    table = with_mean(rows, apart=['ood'])
    assert list(table) == ['a', 'b', 'mean', 'ood']
    assert table['mean'] == {'ece': 2.0}
