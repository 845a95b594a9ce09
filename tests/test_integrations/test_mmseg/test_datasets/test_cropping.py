import numpy as np
import pytest
from mmseg.registry import TRANSFORMS

from mmaslp import RandomCenterCrop


def numbered(height, width):
    """An image and a mask whose pixels tell where they come from."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows, columns, rows], axis=-1)
    return dict(
        img_path='a.jpg', img=image, gt_seg_map=rows * width, seg_fields=['gt_seg_map']
    )


@pytest.fixture(scope='module')
def crops():
    np.random.seed(0)
    crop = TRANSFORMS.build(dict(type='RandomCenterCrop', border=6))
    return [crop(numbered(20, 31)) for _ in range(400)]


def test_window_is_centred(crops):
    for out in crops:
        image = out['img']
        top, left = image[0, 0, 0], image[0, 0, 1]
        below, right = 19 - image[-1, -1, 0], 30 - image[-1, -1, 1]
        assert below - top in (0, 1)
        assert right - left in (0, 1)
        assert out['img_shape'] == image.shape[:2]


def test_sides_are_uniform_and_apart(crops):
    sizes = np.array([out['img_shape'] for out in crops])
    for side, values in zip((20, 31), sizes.T):
        found, counts = np.unique(values, return_counts=True)
        assert found.tolist() == list(range(side - 6, side))
        assert counts.min() > 400 / 6 / 2
    assert len(np.unique(sizes, axis=0)) == 36


def test_mask_and_image_are_cut_alike(crops):
    for out in crops:
        np.testing.assert_array_equal(out['gt_seg_map'], out['img'][..., 0] * 31)


def test_small_image_is_named():
    with pytest.raises(ValueError, match=r'a\.jpg: 40 x 30 pixels .* up to 30: lower'):
        RandomCenterCrop()(numbered(30, 40))
