import os

import pytest
from mmengine.registry import init_default_scope

from mmaslp import SODDataset

NAMES = ['c', 'a.1', 'b']


@pytest.fixture
def root(tmp_path, write_pairs):
    write_pairs(tmp_path, NAMES)
    init_default_scope('mmseg')
    return tmp_path


def stems(dataset):
    return [
        os.path.splitext(os.path.basename(dataset.get_data_info(i)['img_path']))[0]
        for i in range(len(dataset))
    ]


def test_data_info_is_what_mmseg_expects(root):
    dataset = SODDataset(str(root))
    assert dataset.get_data_info(0) == {
        'img_path': str(root / 'images' / 'a.1.jpg'),
        'seg_map_path': str(root / 'masks' / 'a.1.png'),
        'label_map': None,
        'reduce_zero_label': False,
        'seg_fields': [],
        'sample_idx': 0,
    }
    assert stems(dataset) == ['a.1', 'b', 'c']
    assert dataset.metainfo['classes'] == ('background', 'foreground')
    assert len(dataset.metainfo['palette']) == 2


def test_data_prefix_has_two_keys(tmp_path):
    for prefix in (dict(img_path='x'), dict(img='x', ann='y')):
        with pytest.raises(ValueError, match='give data_prefix with img_path and seg_'):
            SODDataset(str(tmp_path), data_prefix=prefix)


def test_data_prefix_and_suffixes(tmp_path, write_image, write_mask):
    write_image(tmp_path / 'x' / 'deep' / '1_img.jpg')
    write_image(tmp_path / 'x' / '1_other.jpg')
    write_mask(tmp_path / 'y' / 'deep' / '1_gt.png')
    prefix = dict(img_path='x/', seg_map_path='./y')
    dataset = SODDataset(
        str(tmp_path),
        data_prefix=prefix,
        img_suffix='_img.jpg',
        seg_map_suffix='_gt.png',
    )
    (tmp_path / 'list.txt').write_text('deep/1_img.jpg\n')
    listed = SODDataset(
        str(tmp_path),
        data_prefix=prefix,
        img_suffix='_img.jpg',
        seg_map_suffix='_gt.png',
        ann_file='list.txt',
    )
    assert listed.get_data_info(0) == dataset.get_data_info(0)
    info = dataset.get_data_info(0)
    assert info['img_path'] == str(tmp_path / 'x' / 'deep' / '1_img.jpg')
    assert info['seg_map_path'] == str(tmp_path / 'y' / 'deep' / '1_gt.png')


def test_names_without_partner(root, write_image, write_mask):
    for i in range(9):
        write_image(root / 'images' / f'x{i}.jpg')
    write_mask(root / 'masks' / 'spare.png')
    with pytest.raises(ValueError) as error:
        SODDataset(str(root))
    message = str(error.value)
    assert message.startswith('10 problem(s) with ')
    assert 'x0: has no mask in' in message
    assert 'x5, ... (3 more)' in message
    assert 'mask spare: has no partner in' in message


def test_an_empty_file_is_named(root):
    (root / 'images' / 'b.jpg').write_bytes(b'')
    with pytest.raises(ValueError, match=r'b\.jpg: is empty, or'):
        SODDataset(str(root))


def test_a_split_by_a_list_of_the_root(root):
    (root / 'train.txt').write_text('b\nc.jpg\n')
    assert len(SODDataset(str(root), split='train')) == 2
    with pytest.raises(FileNotFoundError, match='split val'):
        SODDataset(str(root), split='val')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(layout='COCO'), 'known are folder, mmseg, DUTS-TR'),
        (dict(layout='SOD', data_prefix=dict(img_path='x')), 'or layout and split'),
        (dict(data_prefix=dict(img_path='x')), 'img_path and seg_map_path'),
    ],
)
def test_wrong_arguments(root, arguments, message):
    with pytest.raises(ValueError, match=message):
        SODDataset(str(root), **arguments)
