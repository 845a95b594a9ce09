from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mmaslp.files.map_pairs import read_binary_array, read_pair
from mmaslp.files.prob_maps import MapReader


def test_an_axis_too_many_is_to_be_dropped(tmp_path):
    np.save(tmp_path / 'map.npy', np.full((6, 5, 1), 0.3))
    np.save(tmp_path / 'mask.npy', np.zeros((6, 5), np.uint8))
    with pytest.raises(ValueError, match='drop an axis of length 1'):
        read_pair(MapReader(), tmp_path / 'map.npy', tmp_path / 'mask.npy')


def without_one_slice(shape):
    return shape[1:] if len(shape) == 3 and shape[0] == 1 else shape


def write_array(path, values):
    if path.suffix == '.npy':
        np.save(path, values)
    elif path.suffix == '.npz':
        np.savez(path, values)
    else:
        nibabel = pytest.importorskip('nibabel')
        nibabel.save(nibabel.Nifti1Image(values.T, np.eye(4)), path)


@given(
    ending=st.sampled_from(['.npy', '.npz', '.nii', '.nii.gz']),
    shape=hnp.array_shapes(min_dims=2, max_dims=3, max_side=4),
    other=hnp.array_shapes(min_dims=2, max_dims=3, max_side=4),
)
@settings(deadline=None)
def test_rank_and_shape_travel_with_a_map(ending, shape, other):
    """Only an array of one slice is an image; another shape of mask is refused."""
    with TemporaryDirectory() as name:
        pred, gt = (Path(name, f'{kind}{ending}') for kind in ('map', 'mask'))
        prob = np.random.default_rng(0).uniform(0.1, 0.4, shape).astype(np.float32)
        write_array(pred, prob)
        write_array(gt, np.zeros(other, np.uint8))
        image, mask = map(without_one_slice, (shape, other))
        found = MapReader().read(pred)
        assert found.shape == image
        np.testing.assert_array_equal(found, prob.reshape(image))
        if image == mask:
            assert read_pair(MapReader(), pred, gt)[1].shape == mask
            return
        with pytest.raises(ValueError, match='map'):
            read_pair(MapReader(), pred, gt)


def test_a_mask_of_a_scaled_file_is_a_mask(tmp_path):
    mask = np.array([[0.0, 1.0], [1.0, 0.0]])
    for top, off in ((1, 1e-7), (1, -1e-7), (255, 1e-6)):
        np.save(tmp_path / 'mask.npy', mask * top + off)
        assert np.array_equal(read_binary_array(tmp_path / 'mask.npy'), mask)
    np.save(tmp_path / 'mask.npy', mask * 0.999)
    with pytest.raises(ValueError, match=r'contains 0, 0\.999'):
        read_binary_array(tmp_path / 'mask.npy')
