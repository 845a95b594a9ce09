"""Disks that are full or fail, pipes and devices."""

import os
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from mmaslp import Calibrator
from mmaslp.common.outputs import write_output
from mmaslp.evaluation.evaluator import Evaluator
from mmaslp.evaluation.result import load_results, save_result
from mmaslp.files.images import read_binary_mask
from mmaslp.files.prob_maps import write_prob_map
from mmaslp.report.diagrams import save_figure
from tests.evil import on_a_full_disk
from tests.grids import pairs


@pytest.mark.parametrize('read', [Calibrator.load, load_results, read_binary_mask])
def test_a_disk_that_fails(tmp_path, read):
    (tmp_path / 'x.json').symlink_to('/proc/self/mem')
    with pytest.raises(OSError, match=r'x\.json'):
        read(tmp_path / 'x.json')


def test_a_pipe_that_nobody_reads(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(OSError, match='pipe'):
        write_output(tmp_path / 'pipe', 'text')
    reader = os.open(tmp_path / 'pipe', os.O_RDONLY | os.O_NONBLOCK)
    write_output(tmp_path / 'pipe', 'text')
    assert os.read(reader, 9) == b'text'
    os.close(reader)


def contents(folder):
    files = [path for path in Path(folder).rglob('*') if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def a_figure():
    figure = Figure(figsize=(2, 2))
    figure.add_subplot().plot([0, 1])
    return figure


def write_result(path):
    result = Evaluator().result('', '')
    save_result(path, result, overwrite=True)


WRITERS = {
    'result.json': write_result,
    'text.csv': lambda path: write_output(path, 'x' * 200, True),
    'map.png': lambda path: write_prob_map(
        path, np.random.default_rng(0).random((32, 32)), overwrite=True
    ),
    'figure.pdf': lambda path: save_figure(a_figure(), path, True),
}


@pytest.mark.parametrize(('name', 'there'), pairs([*WRITERS], [None, b'', b'mine']))
def test_a_full_disk_leaves_what_was_there(tmp_path, name, there):
    if there is not None:
        (tmp_path / name).write_bytes(there)
    before = contents(tmp_path)
    said = on_a_full_disk(WRITERS[name], tmp_path / name)
    assert str(tmp_path / name) in said
    assert contents(tmp_path) == before


def test_a_full_disk_leaves_no_folder(tmp_path):
    path = tmp_path / 'new' / 'er' / 'x.csv'
    said = on_a_full_disk(write_output, path, 'x' * 200)
    assert str(path) in said
    assert not list(tmp_path.iterdir())
    write_output(path, 'x')
    assert path.read_text() == 'x'


HALVING = Calibrator('temperature', 'single', 'confidence', [([0, 10], [0, 5])])


def test_a_device_stays_a_device(tmp_path):
    os.mkfifo(tmp_path / 'x')
    reader = os.open(tmp_path / 'x', os.O_RDONLY | os.O_NONBLOCK)
    HALVING.save(tmp_path / 'x')
    assert b'mmaslp calibrator' in os.read(reader, 10**6)
    assert (tmp_path / 'x').is_fifo()
    os.close(reader)
