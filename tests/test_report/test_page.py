import re
import runpy
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmaslp.report import SourceFile, report_html

# Not importable by name under pytest's importlib mode.
helper = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('sections.py')))
EVIL = '<script>alert("1")</script>&\'{{ 7*7 }}'
VOID = {'img', 'meta', 'br', 'rect', 'path', 'line', 'polyline'}


class Page(HTMLParser):
    """Tags that are open, links, headings, ids and texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.links, self.levels, self.ids, self.texts = [], [], [], [], []
        self.scripts, self.described = 0, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.links += [attrs[key] for key in ('href', 'src') if key in attrs]
        self.ids += [attrs['id']] if 'id' in attrs else []
        self.described += filter(None, [attrs.get('aria-describedby')])
        self.scripts += tag == 'script'
        assert not [key for key in attrs if key.startswith('on')]
        if re.fullmatch('h[1-6]', tag):
            self.levels.append(int(tag[1]))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope='module')
def page():
    options = dict(with_pictures=True, number=3)
    one = helper.entry(EVIL, EVIL, gain=0.6, **options)
    evil = replace(
        one,
        settings={EVIL: EVIL},
        measures={EVIL: 0.5},
        files=(SourceFile(EVIL, EVIL, EVIL),),
    )
    two = helper.entry('B', gain=2.0, **options)
    report = helper.report(evil, two, title=EVIL, command=EVIL, version=EVIL)
    return report_html(report, 20)


def test_page_needs_nothing_else(page):
    assert page.startswith('<!doctype html>\n<html lang="en">')
    parsed = Page(page)
    assert not parsed.stack
    own = [link for link in parsed.links if link.startswith('#')]
    assert {link[1:] for link in own} <= set(parsed.ids) and len(own) >= 8
    assert all(link.startswith('data:') for link in parsed.links if link not in own)
    assert not re.search(r'url\(|@import|<link|https?://', page)
    assert "default-src 'none'" in page


def test_names_are_data(page):
    parsed = Page(page)
    assert parsed.scripts == 1 and '<script>alert' not in page
    shown = ''.join(parsed.texts)
    assert shown.count(EVIL) > 20 and '49' not in parsed.texts


def test_ids_and_headings(page):
    parsed = Page(page)
    assert len(set(parsed.ids)) == len(parsed.ids)
    assert set(parsed.described) <= set(parsed.ids)
    assert parsed.levels[0] == 1 and parsed.levels.count(1) == 1
    for before, after in zip(parsed.levels, parsed.levels[1:]):
        assert after <= before + 1


def test_the_same_report_gives_the_same_page():
    report = helper.report(helper.entry(with_pictures=True, number=2))
    page = report_html(report, 5)
    assert report_html(helper.again(report), 5) == page
    assert 'id="differences"' not in page and 'id="pictures"' in page


def test_settings_come_once():
    one, two = (
        replace(helper.entry(name, gain=gain), settings={'a': 'same', 'b': name})
        for name, gain in (('A', 1), ('B', 2))
    )
    page = report_html(helper.report(one, two), 5)
    assert page.count('<dd>same</dd>') == 1
    assert page.count('<dt>b</dt>') == 2
    assert page.count('<dt>resamples</dt>') == 1


def test_positive_mode_and_empty_sets_have_pages():
    entries = [helper.entry('A', mode='positive'), helper.entry('B', number=0)]
    page = report_html(helper.report(*entries), 5)
    assert 'By distance' not in page.split('>B<')[0] and not Page(page).stack
    assert '<b>-</b>' in page


def test_script_is_short_and_plain():
    script = files('mmaslp.report').joinpath('templates/report.js').read_text()
    assert len(script.splitlines()) <= 60
    assert not re.search(r'innerHTML|eval|fetch|import|XMLHttp|http', script)
