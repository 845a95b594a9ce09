import numpy as np
import pytest
from mmseg.registry import TRANSFORMS
from PIL import Image

from mmaslp import LoadBinaryAnnotations


@pytest.fixture
def results(tmp_path):
    mask = np.zeros((6, 9), np.uint8)
    mask[2:4, 3:6] = 255
    Image.fromarray(mask).save(tmp_path / 'm.png')
    return dict(
        img_path=str(tmp_path / 'm.jpg'),
        seg_map_path=str(tmp_path / 'm.png'),
        ori_shape=(6, 9),
        seg_fields=[],
    )


def test_labels(results):
    out = TRANSFORMS.build(dict(type='LoadBinaryAnnotations'))(results)
    expected = np.zeros((6, 9), np.uint8)
    expected[2:4, 3:6] = 1
    np.testing.assert_array_equal(out['gt_seg_map'], expected)
    assert out['gt_seg_map'].dtype == np.uint8
    assert out['seg_fields'] == ['gt_seg_map']


def test_an_image_alone_passes():
    alone = dict(img_path='m.jpg', ori_shape=(6, 9))
    assert LoadBinaryAnnotations()(dict(alone)) == alone


@pytest.mark.parametrize('shape', [(9, 6), (6, 10), (12, 18)])
def test_size_mismatch_names_both(results, shape):
    results['ori_shape'] = shape
    message = rf'm\.png: the mask is 9 x 6 .*m\.jpg is {shape[1]} x {shape[0]}'
    with pytest.raises(ValueError, match=message):
        LoadBinaryAnnotations()(results)


def test_bad_mask_names_the_file(results):
    Image.fromarray(np.full((6, 9), 128, np.uint8)).save(results['seg_map_path'])
    with pytest.raises(ValueError, match=r'm\.png: not a binary mask'):
        LoadBinaryAnnotations()(results)
    assert LoadBinaryAnnotations(graded=True)(results)['gt_seg_map'].all()
