import argparse
import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmaslp.commands.report import add_arguments, run
from mmaslp.report.writing import json_beside, write_report
from mmaslp.version import __version__

# Not importable by name under pytest's importlib mode.
helper = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('sections.py')))


def test_page_and_json_name_no_folder_of_this_machine(tmp_path):
    entry = helper.entry('/home/me/maps', number=2)
    entry.result['images']['names'] = ['/home/me/x/1.png', '/home/me/x/2.png']
    entry.result['settings']['gt_dir'] = '/home/me/masks'
    path = tmp_path / 'x.html'
    argv = ['/usr/bin/x.py', '/home/me/maps', "root='/home/me/d'"]
    for paths in (False, True):
        report = write_report(path, [entry], paths=paths, argv=argv)
        written = path.read_text() + json_beside(path).read_text()
        assert ('/home/me' in written) == paths
        assert '/usr/bin' not in written
    report = write_report(path, [entry], argv=argv)
    assert report.command.startswith('x.py maps ')
    assert report.version == __version__ and report.created.endswith(' UTC')
    assert json_beside('a/b.html') == Path('a/b.report.json')


def test_command_as_a_module(tmp_path):
    argv = ['/venv/mmaslp/__main__.py', 'report', 'a b']
    entry = helper.entry(number=2)
    report = write_report(tmp_path / 'x.html', [entry], argv=argv)
    assert report.command == "mmaslp report 'a b'"


def test_command(tmp_path, capsys):
    write_report(tmp_path / 'x.html', [helper.entry(number=2)])
    result = str(json_beside(tmp_path / 'x.html'))
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    out = tmp_path / 'page.html'
    run(parser.parse_args([result, '-o', str(out), '--name', 'Mine', '--title', 'T']))
    assert '<h1>T</h1>' in out.read_text() and str(out) in capsys.readouterr().out
    content = json.loads(json_beside(out).read_text())
    assert content['entries'][0]['model'] == 'Mine'
    with pytest.raises(ValueError, match='is an input'):
        run(parser.parse_args([str(out), '-o', str(out)]))
