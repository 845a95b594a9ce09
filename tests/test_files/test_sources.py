import shutil

import pytest

from mmaslp.files.sources import find_pairs, open_source

NAMES = ['a', 'b', 'c']


@pytest.fixture
def unpack(tmp_path):
    """Unpack into one folder; return it and the lines of progress."""

    def unpack(path, name):
        lines = []
        root = open_source(str(path), str(tmp_path / 'staging'), [name], lines.append)
        return root, lines

    return unpack


def test_images_and_masks_in_two_archives(tmp_path, write_pairs, pack, unpack):
    folders = ('images', 'ground_truth_mask')
    for folder, other in (folders, folders[::-1]):
        write_pairs(tmp_path / 'x', NAMES, *folders)
        shutil.rmtree(tmp_path / 'x' / other)
        pack(tmp_path / 'x', tmp_path / f'{folder}.zip')
    for folder in folders:
        root, lines = unpack(tmp_path / f'{folder}.zip', 'ECSSD')
        assert lines == [f'unpacking {tmp_path / f"{folder}.zip"}']
    pairs, bad = find_pairs('ECSSD', [root])
    assert list(pairs) == NAMES and not bad
    assert pairs['b'][0].endswith('staging/images/b.jpg')
    assert pairs['b'][1].endswith('staging/ground_truth_mask/b.png')


def test_a_folder_that_holds_data_and_archives_is_taken_as_it_is(
    tmp_path, write_pairs, pack, unpack
):
    write_pairs(tmp_path / 'x', NAMES)
    pack(tmp_path / 'x', tmp_path / 'source.zip')
    write_pairs(tmp_path / 'source' / 'ECSSD', NAMES)
    shutil.move(tmp_path / 'source.zip', tmp_path / 'source' / 'ecssd.zip')
    root, lines = unpack(tmp_path / 'source', 'ECSSD')
    assert (root, lines) == (str(tmp_path / 'source'), [])


@pytest.mark.parametrize('name', ['HKU-IS.rar', 'HKU-IS.zip'])
def test_unreadable_sources(tmp_path, unpack, name):
    (tmp_path / name).write_bytes(b'Rar!')
    with pytest.raises(ValueError, match=f'{name}: .*[Uu]npack it yourself'):
        unpack(tmp_path / name, 'HKU-IS')


def test_files_without_partner(tmp_path, write_pairs, write_image, write_mask):
    write_pairs(tmp_path, NAMES)
    write_image(tmp_path / 'images' / 'lonely.jpg')
    write_mask(tmp_path / 'masks' / 'spare.png')
    pairs, bad = find_pairs('folder', [str(tmp_path)])
    assert list(pairs) == NAMES
    assert bad['lonely'].endswith(f'lonely.jpg: has no mask in {tmp_path / "masks"}')
    assert bad['spare'].endswith(f'spare.png: has no image in {tmp_path / "images"}')


def test_another_set_beside_is_not_taken(tmp_path, write_pairs):
    write_pairs(tmp_path / 'ECSSD', NAMES, 'images', 'masks')
    write_pairs(tmp_path / 'HKU-IS', NAMES, 'imgs', 'gt')
    with pytest.raises(FileNotFoundError, match='no SOD data'):
        find_pairs('SOD', [str(tmp_path)])


def test_textures_need_a_list_of_the_500(tmp_path, write_image):
    for name in ('a/x_1', 'b/x_1'):
        write_image(tmp_path / 'images' / f'{name}.jpg')
    with pytest.raises(ValueError, match=r'a/x_1.jpg and b/x_1.jpg clash'):
        find_pairs('DTD-500', [str(tmp_path)])
    shutil.rmtree(tmp_path / 'images' / 'b')
    (tmp_path / 'images' / 'a').rename(tmp_path / 'images' / 'x')
    assert list(find_pairs('DTD-500', [str(tmp_path)])[0]) == ['x_1']
