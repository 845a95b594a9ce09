"""The scale of a set of maps; tests/hostile/test_silent.py has sets of many kinds."""

import numpy as np
from PIL import Image

from mmaslp.files.map_scale import MapReader
from mmaslp.files.prob_maps import read_prob_map


def write(folder, **levels):
    for name, level in levels.items():
        Image.fromarray(np.full((2, 2), level)).save(folder / f'{name}.png')
    return sorted(folder.iterdir())


def test_the_whole_set_decides(tmp_path):
    reader = MapReader()
    paths = write(tmp_path, a=np.uint8(1), b=np.uint8(0))
    for path in paths:
        assert np.array_equal(reader.read(path), read_prob_map(path))
    problem = reader.problem()
    assert 'a.png: its 1 is the largest value of all 8-bit maps' in problem
    assert '--max-value 1, or --max-value 255' in problem
    (path,) = {*write(tmp_path, c=np.uint8(2))} - {*paths}
    reader.read(path)
    assert reader.problem() == ''


def test_kinds_are_told_apart(tmp_path):
    reader = MapReader()
    for path in write(tmp_path, a=np.uint8(200), b=np.uint16(200)):
        reader.read(path)
    assert 'b.png' in reader.problem() and '16-bit' in reader.problem()


def test_a_stated_scale_is_taken(tmp_path):
    reader = MapReader(max_value=2)
    (path,) = write(tmp_path, a=np.uint8(1))
    assert reader.read(path).tolist() == [[0.5, 0.5]] * 2
    assert reader.problem() == ''
