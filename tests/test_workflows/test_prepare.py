import os

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmaslp import SODDataset
from mmaslp.integrations.mmseg.data import use_folder
from mmaslp.workflows.prepare import divide, prepare_dataset

NAMES = [f'n{i:02d}' for i in range(20)]
LISTS = {'train.txt', 'val.txt', 'test.txt'}


def test_a_published_set(tmp_path, write_pairs):
    folder = tmp_path / 'data' / 'DUTS-TR'
    write_pairs(folder, NAMES, 'DUTS-TR-Image', 'DUTS-TR-Mask')
    (tmp_path / 'val.txt').write_text('n03.jpg\r\nn11.jpg\r\n')
    before = {path: path.stat().st_mtime_ns for path in folder.rglob('*.???')}
    val_list = str(tmp_path / 'val.txt')
    found = prepare_dataset(str(folder), 'DUTS-TR', val_list=val_list)
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert {*os.listdir(folder)} == {
        'DUTS-TR-Image',
        'DUTS-TR-Mask',
        'train.txt',
        'val.txt',
    }
    assert found.parts['val'] == ['n03', 'n11']
    sets = [
        SODDataset(
            str(tmp_path / 'data'), layout='DUTS-TR', ann_file=f'DUTS-TR/{part}.txt'
        )
        for part in ('train', 'val')
    ]
    assert [*map(len, sets)] == [18, 2]


def test_parts():
    names = [*'abcdefghij']
    parts = divide(names, 0.2, 0.3, seed=1)
    assert parts == divide(reversed(names), 0.2, 0.3, seed=1)
    assert [*map(len, parts.values())] == [5, 2, 3]
    assert sorted(''.join(map(''.join, parts.values()))) == names
    assert 'test' not in divide(names, 0.2, 0.0, seed=1)
    assert [*map(len, divide('abc', 0.1, 0.2, seed=1).values())] == [1, 1, 1]
    for few, share in ((names, 0.5), ('ab', 0.1)):
        with pytest.raises(ValueError, match='leaves no image to train on'):
            divide(few, share, share, seed=1)


def test_images_that_came_after_the_division_are_said(tmp_path, write_pairs, recwarn):
    write_pairs(tmp_path, NAMES, 'images', 'masks')
    for overwrite in (False, False, True):
        prepare_dataset(str(tmp_path), overwrite=overwrite)
    assert not recwarn.list
    write_pairs(tmp_path, [*NAMES, 'new'], 'images', 'masks')
    with pytest.warns(match='1 images are in no list of a part.*: new: add'):
        prepare_dataset(str(tmp_path))
    assert '; 1 images are in no list of a part' in use_folder(Config(), str(tmp_path))
    recwarn.clear()
    # A list that names what is gone is the business of its part.
    stale = tmp_path / 'test.txt'
    stale.write_text(f'{stale.read_text()}gone\n')
    assert 'gone' not in use_folder(Config(), str(tmp_path))
    assert 'new' in str(prepare_dataset(str(tmp_path), overwrite=True).parts)
    assert not recwarn.list


def test_images_of_two_parts_are_said(tmp_path, write_pairs):
    for part in ('train', 'val'):
        write_pairs(tmp_path, NAMES, f'{part}/images', f'{part}/masks')
    with pytest.warns(UserWarning, match=f'image {NAMES[0]} of train is in val too'):
        use_folder(Config(), str(tmp_path))
    with pytest.raises(ValueError, match=f'image {NAMES[0]} of train is in val too'):
        prepare_dataset(str(tmp_path))


def test_masks_with_a_suffix_are_one_problem(tmp_path, write_pairs):
    write_pairs(tmp_path, NAMES, 'images', 'masks')
    for path in (tmp_path / 'masks').iterdir():
        path.rename(path.with_stem(f'{path.stem}_mask'))
    with pytest.raises(ValueError, match=r'n00\.jpg and n00_mask\.png: .* rename'):
        prepare_dataset(str(tmp_path))
    with pytest.raises(ValueError, match=r'^1 problem.*\n.*n00_mask\.png'):
        SODDataset(str(tmp_path))


def test_all_problems_in_one_message(tmp_path, write_pairs):
    write_pairs(tmp_path, NAMES, 'images', 'masks')
    Image.new('L', (5, 5)).save(tmp_path / 'masks/n01.png')
    Image.fromarray(np.full((10, 12), 128, np.uint8)).save(tmp_path / 'masks/n02.png')
    (tmp_path / 'images/n03.jpg').write_bytes(b'')
    data = (tmp_path / 'masks/n04.png').read_bytes()
    (tmp_path / 'masks/n04.png').write_bytes(data[: len(data) // 2])
    os.remove(tmp_path / 'masks/n05.png')
    os.remove(tmp_path / 'images/n06.jpg')
    with pytest.raises(ValueError) as error:
        prepare_dataset(str(tmp_path))
    message = str(error.value)
    assert message.startswith('6 problem(s) with ')
    for part in (
        'n01.png: the mask is 5 x 5',
        'n02.png: not a binary mask',
        'n03.jpg: ',
        'n04.png',
        'n05: has',
        'mask n06: has',
    ):
        assert part in message
    assert not LISTS & {*os.listdir(tmp_path)}


def test_axes_are_no_matter_of_exif_without_exif(tmp_path, write_pairs):
    write_pairs(tmp_path, NAMES, 'images', 'masks')
    mask = Image.open(tmp_path / 'masks/n01.png').transpose(Image.Transpose.TRANSPOSE)
    mask.save(tmp_path / 'masks/n01.png')
    with pytest.raises(ValueError, match=r'image \S+n01.jpg is [\dx ]+$'):
        prepare_dataset(str(tmp_path))


@pytest.mark.parametrize('way', ['images/{}', '{}/images'])
@pytest.mark.parametrize('name', ['valid', 'validation'])
def test_other_names_of_the_validation_part(tmp_path, write_pairs, name, way):
    for part in ('train', name):
        masks = way.replace('images', 'masks')
        write_pairs(tmp_path, [part], way.format(part), masks.format(part))
    assert prepare_dataset(str(tmp_path)).parts == {'train': ['train'], 'val': [name]}


def test_a_list_of_the_user_stays(tmp_path, write_pairs):
    write_pairs(tmp_path, NAMES, 'images', 'masks')
    (tmp_path / 'val.txt').write_text('mine')
    with pytest.raises(ValueError, match='has val and nothing to train on'):
        prepare_dataset(str(tmp_path))
    assert (tmp_path / 'val.txt').read_text() == 'mine'
    assert LISTS & {*os.listdir(tmp_path)} == {'val.txt'}


@pytest.mark.parametrize('way', ['images/{}', '{}/images', 'img_dir/{}', 'lists'])
def test_divided_data_are_checked_part_by_part(tmp_path, write_pairs, way):
    masks = way.replace('images', 'masks').replace('img_dir', 'ann_dir')
    for number, part in enumerate(('train', 'val')):
        names = [f'{part}{i}' for i in range(2 + number)]
        if way == 'lists':
            write_pairs(tmp_path, names)
            (tmp_path / f'{part}.txt').write_text('\n'.join(names))
        else:
            write_pairs(tmp_path, names, way.format(part), masks.format(part))
    before = sorted(tmp_path.rglob('*'))
    found = prepare_dataset(str(tmp_path))
    assert {part: len(names) for part, names in found.parts.items()} == {
        'train': 2,
        'val': 3,
    }
    assert not found.lists
    assert sorted(tmp_path.rglob('*')) == before
    assert len(SODDataset(str(tmp_path), split='val')) == 3

    mask = next(tmp_path.rglob('val1.png'))
    Image.new('L', (5, 5)).save(mask)
    with pytest.raises(ValueError, match=r'val1\.png: the mask is 5 x 5'):
        prepare_dataset(str(tmp_path))


@pytest.mark.parametrize('way', ['images/{}', 'lists'])
def test_an_image_of_two_parts(tmp_path, write_pairs, way):
    for part in ('train', 'val'):
        folders = ('images', 'masks') if way == 'lists' else (way, f'masks/{part}')
        write_pairs(
            tmp_path, [part, 'same', 'other'], *(f.format(part) for f in folders)
        )
        (tmp_path / f'{part}.txt').write_text(f'{part}\nsame')
    if way != 'lists':  # another image of the same name
        Image.new('RGB', (20, 14), 'red').save(tmp_path / 'images/val/other.jpg')
    with pytest.raises(ValueError, match=r'(?s)1 problem.*same of train is in val too'):
        prepare_dataset(str(tmp_path))


def test_what_a_list_divides_is_divided_anew_on_request(tmp_path, write_pairs):
    write_pairs(tmp_path, NAMES)
    prepare_dataset(str(tmp_path), val_ratio=0.2)
    assert not prepare_dataset(str(tmp_path), val_ratio=0.5).lists
    again = prepare_dataset(str(tmp_path), val_ratio=0.5, overwrite=True)
    assert len(again.parts['val']) == 10
    assert len(again.lists) == 3


def test_copies_under_other_names_are_said(tmp_path, write_pairs, recwarn):
    write_pairs(tmp_path, NAMES, 'images', 'masks')
    images = sorted((tmp_path / 'images').iterdir())
    for copy, original in ((1, 0), (3, 2)):
        images[copy].write_bytes(images[original].read_bytes())
    prepare_dataset(str(tmp_path))
    assert '2 of 20 images are copies' in str(recwarn.list[0].message)
    assert 'such as n01 of n00: keep one of each' in str(recwarn.list[0].message)
