"""Images that are there under two names."""

import shutil
import warnings

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from mmaslp.commands import run_command
from mmaslp.files.copies import find_copies
from mmaslp.files.prob_maps import write_prob_map
from tests.map_folders import save, write_set


def test_copies_are_found_by_their_bytes(tmp_path):
    content = {'a': b'1' * 9000, 'b': b'2' * 9000, 'c': b'1' * 9000, 'd': b'1' * 8999}
    content['e'] = b'2' + b'1' * 8999  # alike in the middle
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    images = {name: tmp_path / name for name in content}
    assert find_copies(images) == [['a', 'c']]


def test_equal_sizes_are_told_apart(tmp_path):
    for k in range(3):
        np.save(tmp_path / f'{k}.npy', np.full(5000, k // 2))
    images = {path.stem: path for path in sorted(tmp_path.iterdir())}
    assert find_copies(images) == [['0', '1']]


@pytest.mark.parametrize('command', ['fit', 'eval-maps'])
def test_a_copy_under_another_name_is_told(command, tmp_path):
    folders = write_set(tmp_path, 12)
    for folder in folders:
        shutil.copy(folder / '003.png', folder / 'other.png')
    args = [*map(str, folders)]
    args += ['--out', str(tmp_path / 'c.json')] if command == 'fit' else []
    with pytest.warns(UserWarning, match='1 of 13 images .*such as other of 003: '):
        assert run_command(command, args) == 0


def test_a_copy_of_a_map_beside_another_mask_is_told(tmp_path):
    """No network gives two images the same map."""
    maps, masks = write_set(tmp_path, 12)
    shutil.copy(maps / '003.png', maps / '004.png')
    with pytest.warns(UserWarning, match='1 of 12 images .*such as 004 of 003: '):
        assert run_command('eval-maps', [str(maps), str(masks)]) == 0


def test_a_map_in_the_place_of_its_mask_is_refused(tmp_path, capsys):
    """Of a sure network it looks like a mask with soft edges."""
    maps, masks = write_set(tmp_path, 12, size=96)
    mask = np.asarray(Image.open(masks / '003.png')) > 127
    prob = gaussian_filter(mask.astype(float), 0.8)
    write_prob_map(maps / '003.png', prob, bits=8, overwrite=True)
    shutil.copy(maps / '003.png', masks / '003.png')
    assert run_command('eval-maps', [str(maps), str(masks)]) == 2
    assert f'its mask {masks / "003.png"} is a copy of it' in capsys.readouterr().err


def test_empty_scenes_are_no_copies(tmp_path):
    maps, masks = write_set(tmp_path, 6)
    for name in ('x', 'y'):
        write_prob_map(maps / f'{name}.png', np.zeros((24, 24)))
        save(masks / f'{name}.png', np.zeros((24, 24), np.uint8))
    with warnings.catch_warnings():
        warnings.filterwarnings('error', '.*copies')
        assert run_command('eval-maps', [str(maps), str(masks)]) == 0
