import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmaslp.files.prob_maps import MapReader, write_prob_map
from mmaslp.files.stored_maps import StoredMap


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([8, 16]), st.integers(0, 1000))
def test_round_trip_is_within_half_a_step(tmp_path_factory, bits, seed):
    path = tmp_path_factory.mktemp('maps') / 'x.png'
    prob = np.random.default_rng(seed).random((7, 5))
    write_prob_map(path, prob, bits)
    limit = 0.5 / (2**bits - 1) + 1e-7
    assert np.abs(MapReader().read(path) - prob).max() <= limit


@pytest.mark.parametrize(
    'name, prob, bits, words',
    [
        ('x.png', np.zeros((2, 2)), 12, 'bits'),
        ('x.jpg', np.zeros((2, 2)), 8, r'x\.jpg.*\.png'),
        ('x.png', np.zeros((1, 2, 2)), 8, r'\(1, 2, 2\)'),
        ('x.png', np.full((2, 2), 1.1), 8, r'x\.png.*1\.1'),
        ('x.png', np.full((2, 2), np.nan), 8, '4 NaN'),
    ],
)
def test_bad_maps_are_not_written(tmp_path, name, prob, bits, words):
    with pytest.raises(ValueError, match=words):
        write_prob_map(tmp_path / name, prob, bits)
    assert not list(tmp_path.iterdir())


def test_rounding_beyond_the_ends_is_clamped(tmp_path):
    prob = np.array([[1 + 1e-7, 0.5], [-1e-9, 0.25]], np.float32)
    np.save(tmp_path / 'x.npy', prob)
    assert np.array_equal(MapReader().read(tmp_path / 'x.npy'), prob.clip(0, 1))
    write_prob_map(tmp_path / 'x.png', prob)
    assert MapReader().read(tmp_path / 'x.png').max() == 1
    np.save(tmp_path / 'x.npy', prob + np.float32(1e-5))
    with pytest.raises(ValueError, match=r'not in \[0, 1\]'):
        MapReader().read(tmp_path / 'x.npy')


def read_set(*paths, **options):
    reader = MapReader(**options)
    reader.check_highest(max(reader.read(path).max() for path in paths), paths)


def test_the_whole_set_decides(tmp_path):
    paths = []
    for name, level in dict(a=1, b=100, c=200).items():
        paths.append(tmp_path / f'{name}.png')
        Image.fromarray(np.full((2, 2), level, np.uint8)).save(paths[-1])
    read_set(*paths)
    read_set(*paths[:2], max_value=255)
    with pytest.raises(ValueError, match='`max_value`'):
        read_set(*paths[:2])
    with pytest.raises(ValueError, match='values end at 255: lower `max_value`'):
        read_set(*paths, max_value=1000)


RAMP = np.linspace(0, 1, 64).reshape(8, 8)
# From the stored values to the words of the refusal and the value to state.
SCALES = {
    '8-bit 0/1': ((RAMP > 0.5).astype(np.uint8), '`max_value`', 1),
    '8-bit per cent': ((RAMP * 100).astype(np.uint8), '`max_value`', 100),
    '16-bit 0/1': ((RAMP > 0.5).astype(np.uint16), '`max_value`', 1),
    '16-bit to 255': ((RAMP * 255).astype(np.uint16), '`max_value`', 255),
    '16-bit below 255': ((RAMP * 200).astype(np.uint16), '`max_value`', 255),
    '12 bits in 16': ((RAMP * 4095).astype(np.uint16), '`max_value`', 4095),
    'int32 TIFF': ((RAMP * 65535).astype(np.int32), '`max_value`', 65535),
    'float per cent': (RAMP * 100, r'\[0, 100\].*`max_value=100`', 100),
    'float to 255': (RAMP * 255, '`max_value`', 255),
    'npy of integers': ((RAMP * 255).astype(np.uint8), '`max_value`', 255),
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
        read_set(path)
    assert 0.7 < MapReader(max_value=top).read(path).max() <= 1
    with pytest.raises(ValueError, match='not in'):
        MapReader(max_value=top / 2).read(path)


@pytest.mark.parametrize(
    'values',
    [
        (RAMP > 0.5).astype(np.uint8) * 255,  # hard masks
        np.zeros((8, 8), np.uint8),  # black: the same in every scale
        (RAMP * 130).astype(np.uint8),
    ],
)
def test_maps_that_may_be_right(values, tmp_path):
    read_set(save_map(tmp_path, '', values))


@pytest.mark.parametrize('name', ['a.npy', 'a.npz'])
def test_a_file_that_was_not_fetched_is_no_pickle(tmp_path, name):
    path = tmp_path / name
    path.write_text('version https://git-lfs.github.com/spec/v1\n')
    with pytest.raises(ValueError, match='a failed download') as found:
        MapReader().read(path)
    assert 'pickle' not in str(found.value)


def test_a_channel_is_named_of_maps_with_channels_only(tmp_path):
    np.savez(tmp_path / 'a.npz', prob=np.full((4, 5), 0.7))
    assert MapReader().read(tmp_path / 'a.npz').shape == (4, 5)
    with pytest.raises(ValueError, match='has no axis of channels'):
        MapReader(channel=1).read(tmp_path / 'a.npz')


def test_the_longest_name_that_a_map_may_have(tmp_path):
    file = tmp_path / f'{"n" * 251}.npy'
    np.save(file, np.full((4, 4), 0.3, np.float32))
    assert StoredMap(file).nifti is None
    assert StoredMap(file).grid is None
