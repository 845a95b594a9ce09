"""The notebooks run, and print what is stored in them, except for their figures."""

import contextlib
import io
import json
import re

import pytest

from tests.test_docs.test_pages import ROOT

NOTEBOOKS = sorted((ROOT / 'notebooks').glob('*.ipynb'))
FIGURE = re.compile(r'[+-]?\d+(\.\d+)?')


def cells(path):
    """Source of each cell of code, and what it printed."""
    for cell in json.loads(path.read_text(encoding='utf-8'))['cells']:
        if cell['cell_type'] == 'code':
            printed = [
                ''.join(output['text'])
                for output in cell['outputs']
                if output['output_type'] == 'stream'
            ]
            yield ''.join(cell['source']), ''.join(printed)


def form(text):
    """A text without its figures, which other processors change, and its spaces."""
    return FIGURE.sub('#', text).split()


def test_there_are_two():
    assert len(NOTEBOOKS) == 2


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_its_outputs(path):
    notebook = json.loads(path.read_text(encoding='utf-8'))
    code = [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']
    assert all(cell['execution_count'] for cell in code)
    outputs = [output for cell in code for output in cell['outputs']]
    assert any('image/png' in output.get('data', {}) for output in outputs)
    assert not [o for o in outputs if o['output_type'] == 'error']
    assert '/work/' not in path.read_text(encoding='utf-8')


@pytest.mark.release
@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, monkeypatch):
    monkeypatch.setenv('MPLBACKEND', 'agg')
    names = {'__name__': '__main__'}
    for source, stored in cells(path):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(source, str(path), 'exec'), names)
        if 'summary()' not in source:  # whose words depend on the figures
            assert form(printed.getvalue()) == form(stored)
