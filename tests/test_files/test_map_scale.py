"""The scale of a set of maps."""

import numpy as np
import pytest
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


RAMP = np.linspace(0, 1, 64).reshape(8, 8)
# From the stored values to the words of the refusal and the value to state.
SCALES = {
    '8-bit 0/1': ((RAMP > 0.5).astype(np.uint8), '8-bit.*--max-value 1', 1),
    '8-bit per cent': ((RAMP * 100).astype(np.uint8), '--max-value 100', 100),
    '16-bit 0/1': ((RAMP > 0.5).astype(np.uint16), '--max-value 1', 1),
    '16-bit to 255': ((RAMP * 255).astype(np.uint16), '--max-value 255', 255),
    '16-bit below 255': ((RAMP * 200).astype(np.uint16), '--max-value 255', 255),
    '12 bits in 16': ((RAMP * 4095).astype(np.uint16), '4095', 4095),
    'int32 TIFF': ((RAMP * 65535).astype(np.int32), '32-bit.*--max-value', 65535),
    'float per cent': (RAMP * 100, r'\[0, 100\].*--max-value 100', 100),
    'float to 255': (RAMP * 255, '--max-value', 255),
    'npy of integers': ((RAMP * 255).astype(np.uint8), '--max-value', 255),
}


def save_map(folder, kind, values):
    if kind[:3] in ('flo', 'npy'):
        np.save(folder / 'a.npy', values)
        return folder / 'a.npy'
    path = folder / ('a.tif' if 'TIFF' in kind else 'a.png')
    Image.fromarray(values).save(path)
    return path


@pytest.mark.parametrize('kind', SCALES)
def test_a_scale_that_is_not_clear_is_asked_for(kind, tmp_path):
    values, words, top = SCALES[kind]
    path = save_map(tmp_path, kind, values)
    with pytest.raises(ValueError, match=words):
        reader = MapReader()
        reader.read(path)
        raise ValueError(reader.problem())
    assert 0.7 < MapReader(max_value=top).read(path).max() <= 1
    with pytest.raises(ValueError, match='not in'):
        MapReader(max_value=top / 2).read(path)


@pytest.mark.parametrize(
    'values',
    [
        (RAMP > 0.5).astype(np.uint8) * 255,  # hard masks
        np.zeros((8, 8), np.uint8),  # black: the same in every scale
        (RAMP * 120).astype(np.uint8),
        (RAMP * 300).astype(np.uint16),
    ],
)
def test_maps_that_may_be_right(values, tmp_path):
    reader = MapReader()
    reader.read(save_map(tmp_path, '', values))
    assert reader.problem() == ''
