import argparse
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mmaslp.commands import run_command
from mmaslp.commands.report import add_arguments, run
from mmaslp.evaluation.result import load_files, load_results, save_result
from mmaslp.report.page import json_beside, report_html, write_report

from . import sections as helper

EVIL = '<script>alert("1")</script>&\'{{ 7*7 }}'
VOID = {'img', 'meta', 'br', 'rect', 'path', 'line', 'polyline', 'use'}


class Page(HTMLParser):
    """Tags that are open, links, headings, ids and texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.links, self.levels, self.ids, self.texts = [], [], [], [], []
        self.scripts, self.described, self.images, self.regions = 0, [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.links += [attrs[key] for key in ('href', 'src') if key in attrs]
        self.ids += [attrs['id']] if 'id' in attrs else []
        self.described += filter(None, [attrs.get('aria-describedby')])
        self.regions += [attrs['aria-label']] if attrs.get('role') == 'region' else []
        self.scripts += tag == 'script'
        self.images += [attrs] if attrs.get('loading') == 'lazy' else []
        assert not [key for key in attrs if key.startswith('on')]
        if re.fullmatch('h[1-6]', tag):
            self.levels.append(int(tag[1]))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs['id']] if 'id' in attrs else []

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.stack.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope='module')
def page():
    """Two models, one of them with evil names; one on two sets."""
    options = dict(number=3)
    one = helper.result(EVIL, EVIL, gain=0.6, **options)
    one = replace(
        one,
        settings={**one.settings, EVIL: EVIL},
        measures={EVIL: 0.5, **dict.fromkeys('abcdef', 0.5)},
        files=[{'role': EVIL, 'name': EVIL, 'sha256': EVIL}],
    )
    two = helper.result('B', gain=2.0, **options)
    three = helper.result('B', 'positive', mode='positive')
    four = helper.result('B', 'empty', number=0)
    results = [one, two, three, four]
    return report_html(results, title=EVIL, command=EVIL, created=EVIL, resamples=5)


def test_page_needs_nothing_else(page):
    assert page.startswith('<!doctype html>\n<html lang="en">')
    parsed = Page(page)
    assert not parsed.stack
    own = [link for link in parsed.links if link.startswith('#')]
    assert {link[1:] for link in own} <= set(parsed.ids)
    assert own
    assert all(link.startswith('data:') for link in parsed.links if link not in own)
    assert not re.search(r'url\(|@import|<link|https?://', page)
    assert "default-src 'none'" in page
    assert page.count('class="chart"') > 6


def test_names_are_data(page):
    parsed = Page(page)
    assert parsed.scripts == 1
    assert '<script>alert' not in page
    shown = ''.join(parsed.texts)
    assert shown.count(EVIL) > 10
    assert '49' not in parsed.texts


def test_ids_and_headings(page):
    parsed = Page(page)
    assert len(set(parsed.ids)) == len(parsed.ids)
    assert set(parsed.described) <= set(parsed.ids)
    assert 'Further metrics, table 2 of 2' in parsed.regions
    assert len(set(parsed.regions)) == len(parsed.regions)
    assert parsed.levels[0] == 1
    assert parsed.levels.count(1) == 1
    for before, after in zip(parsed.levels, parsed.levels[1:]):
        assert after <= before + 1


def test_page_and_json_name_no_folder_of_this_machine(tmp_path):
    result = helper.result('/home/me/maps', number=2)
    result = helper.renamed(result, ['/home/me/x/1.png', '/home/me/x/2.png'])
    settings = {**result.settings, 'gt_dir': '/home/me/masks'}
    result = replace(result, settings=settings)
    path = tmp_path / 'x.html'
    argv = ['/usr/bin/x.py', '/home/me/maps', "root='/home/me/d'"]
    write_report(path, [result], argv=argv)
    written = path.read_text() + json_beside(path).read_text()
    assert '/home/me' not in written
    assert '/usr/bin' not in written
    assert '<code>x.py maps ' in written
    assert json_beside('a/b.html') == Path('a/b.report.json')


def test_neither_file_of_a_page_is_written_if_one_is_there(tmp_path):
    json_beside(tmp_path / 'p.html').write_text('mine')
    with pytest.raises(FileExistsError, match=r'p\.report\.json'):
        write_report(tmp_path / 'p.html', [helper.result()])
    assert not (tmp_path / 'p.html').exists()


@pytest.mark.usefixtures('plain_charts')
def test_models_of_one_name_are_told_apart_by_their_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in ('base', 'tonight'):
        rows = [helper.result('maps', number=2), helper.result('other', number=2)]
        save_result(f'{place}.json', [rows[0], replace(rows[1], dataset=place)])
    assert run_command('report', ['base.json', 'tonight.json', '-o', 'x.html']) == 0
    names = [row.model for row in load_results('x.report.json')]
    assert names == ['base.json: maps', 'other', 'tonight.json: maps', 'other']
    assert 'tonight.json: maps' in Path('x.html').read_text()


def test_a_calibrated_row_keeps_the_name_of_its_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = helper.result('net', number=2)
    calibrated = helper.result('net, calibrated', number=2, calibrator='c.json')
    save_result('one.json', [raw])
    save_result('two.json', [raw, calibrated])
    names = [row.model for row in load_files(['one.json', 'two.json'])]
    assert names == ['one.json: net', 'two.json: net', 'two.json: net, calibrated']


@pytest.mark.usefixtures('plain_charts')
def test_command_reads_the_json_beside_a_page(tmp_path, capsys):
    first = tmp_path / 'x.html'
    one = helper.result(number=2)
    argv = ['/venv/mmaslp/__main__.py', 'report', 'a b']
    write_report(first, [one], argv=argv)
    assert '<code>mmaslp report &#39;a b&#39;</code>' in first.read_text()
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    out = tmp_path / 'page.html'
    given = [str(json_beside(first)), '-o', str(out)]
    run(parser.parse_args([*given, '--title', 'T']))
    assert '<h1>T</h1>' in out.read_text()
    assert str(out) in capsys.readouterr().out
    (again,) = load_results(json_beside(out))
    assert (again.model, again.metrics) == (one.model, one.metrics)
    with pytest.raises(ValueError, match='is an input'):
        run(parser.parse_args([str(out), '-o', str(out)]))


@pytest.mark.usefixtures('plain_charts')
def test_results_of_one_set_by_other_settings_share_no_table():
    one = helper.result(number=2)
    other = replace(one, model='B', settings={**one.settings, 'protocol': 'released'})
    with pytest.raises(ValueError, match='A and B: protocol is None in the first'):
        report_html([one, other])
    assert report_html([one, replace(other, dataset='another')], resamples=5)
