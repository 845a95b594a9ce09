import math

import numpy as np
import pytest
import torch

from mmaslp.common.bands import BORDER_EDGES, border_bands
from tests.test_metrics import band_reference as reference


def blobs(number, height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(
        number, 1, height // 8 + 2, width // 8 + 2, generator=generator
    )
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode='bilinear')
    return smooth[:, 0] > 0.6


@pytest.mark.parametrize('shape', [(16, 16), (40, 23), (64, 64), (21, 70)])
@pytest.mark.parametrize('ignored', [False, True])
def test_bands_of_small_maps_are_exact(shape, ignored):
    masks = blobs(3, *shape)
    generator = torch.Generator().manual_seed(1)
    valid = torch.rand(masks.shape, generator=generator) < (0.8 if ignored else 2)
    found = border_bands(masks, valid if ignored else None)
    for band, mask, known in zip(found, masks, valid):
        expected = reference.bands(mask.numpy(), known.numpy())
        assert np.array_equal(band[known].numpy(), expected[known.numpy()])


def test_bands_scale_with_the_image():
    small = blobs(2, 64, 64)
    bands = border_bands(small)
    assert set(bands.unique().tolist()) == {0, 1, 2, 3, 4}
    for times in (2, 3, 6):
        large = small.repeat_interleave(times, 1).repeat_interleave(times, 2)
        found = border_bands(large)[:, ::times, ::times]
        assert torch.equal(found, bands)


@pytest.mark.parametrize('shape', [(130, 131), (200, 150), (97, 389)])
def test_large_maps_deviate_by_no_more_than_a_cell(shape):
    mask = blobs(1, *shape)
    side = math.sqrt(shape[0] * shape[1])
    cell = int(side / 64)
    ndimage = pytest.importorskip('scipy.ndimage')
    one = mask[0].numpy()
    exact = np.maximum(
        ndimage.distance_transform_cdt(one, 'chessboard'),
        ndimage.distance_transform_cdt(~one, 'chessboard'),
    )
    edges = np.array(BORDER_EDGES) * side / 64
    lowest = np.searchsorted(edges, exact - cell - 0.5, 'left')
    highest = np.searchsorted(edges, exact + cell - 0.5, 'left')
    found = border_bands(mask)[0].numpy()
    assert ((lowest <= found) & (found <= highest)).all()
    assert (found == np.searchsorted(edges, exact - 0.5, 'left')).mean() > 0.8


@pytest.mark.parametrize('value', [0, 1])
def test_without_a_border_all_is_the_last_band(value):
    assert (border_bands(torch.full((2, 70, 200), value)) == 4).all()


def test_ignored_pixels_make_no_border():
    mask = torch.zeros(1, 20, 20)
    mask[..., 10:] = 1
    assert (border_bands(mask, mask == 0) == 4).all()
