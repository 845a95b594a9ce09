"""Each example for two epochs of a tiny folder, with the real libraries."""

import runpy
import shutil
import sys
from pathlib import Path

import pytest
import torch

from mmaslp.files.layouts import NUCLEI
from tests.test_calibration.object_scenes import write_scenes

EXAMPLES = Path(__file__).resolve().parents[1] / 'examples'
NEEDS = {
    'plain_pytorch': ['torch'],
    'lightning_smp': ['lightning', 'segmentation_models_pytorch'],
    'monai_2d': ['monai'],
}
METHODS = ['BCE', 'levels by band']
pytestmark = pytest.mark.filterwarnings('ignore')


@pytest.fixture
def folder(tmp_path):
    for split, number in dict(train=4, val=2, test=2).items():
        for kind in ('images', 'masks'):
            (tmp_path / split / kind).mkdir(parents=True)
            for path in sorted((NUCLEI / split / kind).iterdir())[:number]:
                shutil.copy(path, tmp_path / split / kind)
    return tmp_path


def run(monkeypatch, name, *args):
    monkeypatch.syspath_prepend(EXAMPLES)  # as a script has its folder
    monkeypatch.setattr(sys, 'argv', [name, '--size', '32', *map(str, args)])
    with torch.random.fork_rng():
        runpy.run_path(str(EXAMPLES / f'{name}.py'), run_name='__main__')


def rows(text):
    """The table at the end of the output: figures by model."""
    lines = text.strip().splitlines()
    start = next(i for i, line in enumerate(lines) if 'ECE by band' in line)
    return {
        line[: line.index('  ')]: [float(x) for x in line.split()[-5:]]
        for line in lines[start + 1 :]
    }


@pytest.mark.release
@pytest.mark.parametrize('name', NEEDS)
def test_example(name, folder, monkeypatch, capsys):
    for library in NEEDS[name]:
        pytest.importorskip(library, reason='needs the extra [integrations]')
    monkeypatch.chdir(folder)  # where the checkpoints go
    run(monkeypatch, name, '--data', folder, '--epochs', 9)
    figures = rows(capsys.readouterr().out)
    assert list(figures) == METHODS
    for ece, by_band, over, accuracy, nll in figures.values():
        assert 0 <= ece < 1
        assert 0 <= by_band < 1
        assert 0 <= over < 1
        assert 0 < accuracy < 1
        assert nll > 0


@pytest.mark.release
def test_a_threshold_keeps_its_promise(tmp_path, monkeypatch, capsys):
    pytest.importorskip('mapie', reason='needs the extra [guarantee]')
    folders = write_scenes(tmp_path, 90, share_real=0.8)
    monkeypatch.setattr(sys, 'argv', ['guarantee', *map(str, folders), '--missed=0.2'])
    runpy.run_path(str(EXAMPLES / 'guarantee.py'), run_name='__main__')
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'promised: at most 0.200 of the foreground is missed'
    for line in lines[-2:]:
        threshold, missed, taken = map(float, line.split()[-3:])
        assert 0 < threshold < 1
        assert missed < 0.23  # a mean of 30 images varies by some .01
        assert 0 < taken < 0.5
