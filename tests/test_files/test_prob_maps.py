import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmaslp.files.prob_maps import read_prob_map, write_prob_map


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([8, 16]), st.integers(0, 1000))
def test_round_trip_is_within_half_a_step(tmp_path_factory, bits, seed):
    path = tmp_path_factory.mktemp('maps') / 'x.png'
    prob = np.random.default_rng(seed).random((7, 5))
    write_prob_map(path, prob, bits)
    limit = 0.5 / (2**bits - 1) + 1e-7
    assert np.abs(read_prob_map(path) - prob).max() <= limit


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
    assert np.array_equal(read_prob_map(tmp_path / 'x.npy'), prob.clip(0, 1))
    write_prob_map(tmp_path / 'x.png', prob)
    assert read_prob_map(tmp_path / 'x.png').max() == 1
    np.save(tmp_path / 'x.npy', prob + np.float32(1e-5))
    with pytest.raises(ValueError, match=r'not in \[0, 1\]'):
        read_prob_map(tmp_path / 'x.npy')


def test_32_bits_need_a_scale(tmp_path):
    values = np.array([[0, 65535], [13107, 1]], np.int32)
    Image.fromarray(values).save(tmp_path / 'x.tif')
    assert Image.open(tmp_path / 'x.tif').mode == 'I'
    with pytest.raises(ValueError, match='32-bit integers up to 65535: state with'):
        read_prob_map(tmp_path / 'x.tif')
    assert np.array_equal(
        read_prob_map(tmp_path / 'x.tif', 65535),
        np.float32(values) / np.float32(65535),
    )
