import base64
import io
import re
import runpy
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from mmaslp.visualization.report import write_report
from mmaslp.visualization.text_table import metric_text

# Not importable by name under pytest's importlib mode.
helper = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('sections.py')))
section = helper.section


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
    # two diagrams of each section, three panels of each of two images
    assert len(parser.sources) == 2 * 2 + 2 * 3
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
    sections['one']['metrics'] = {'max_f': 0.5}
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


@pytest.mark.parametrize('key', ['ece', 'ece_em', 'ece_sweep', 'ks'])
def test_report_shows_intervals(tmp_path, key):
    path = tmp_path / 'r.html'
    sections = {'one': section()}
    write_report(path, sections)
    result = sections['one']['result']
    low, high = (metric_text(value) for value in result['intervals'][key])
    cells = f'<td>{metric_text(result[key])}</td><td>[{low}, {high}]</td>'
    assert f'<tr><td>{key}</td>{cells}</tr>' in path.read_text()


def test_report_lists_the_bands(tmp_path):
    path = tmp_path / 'r.html'
    result = section()['result']
    write_report(path, {'one': {'result': result}})
    page = path.read_text()
    for border in ('predicted', 'true'):
        assert f'<th>{border} border</th><th>share</th>' in page
        columns = result['regions'][border]
        cells = ''.join(
            f'<td>{metric_text(columns[key][0])}</td>'
            for key in ('share', 'accuracy', 'confidence', 'gap')
        )
        assert f'<tr><td>up to 1</td>{cells}</tr>' in page
    assert f'<td>{metric_text(result["ece_region"])}</td>' in page
    write_report(path, {'one': section(mode='positive')})
    assert 'By distance' not in path.read_text()


def test_report_needs_a_section(tmp_path):
    with pytest.raises(ValueError, match='at least one section'):
        write_report(tmp_path / 'r.html', {})
