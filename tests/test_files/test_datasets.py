"""Data sets with odd names, and files that are no files."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmaslp.files.datasets import list_pairs, locate
from mmaslp.workflows.prepare import prepare_dataset
from tests.evil import command
from tests.map_folders import write_set


@pytest.mark.parametrize('name', ['a\nb', ' a', 'a\u2028b', '\ufeffa', '\udcff'])
def test_a_name_that_no_list_can_hold(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path, 5)
    os.mkdir('set')
    for kind, folder in (('maps', 'images'), ('masks', 'masks')):
        os.rename(kind, f'set/{folder}')
        os.rename(f'set/{folder}/000.png', f'set/{folder}/{name}.png')
    assert command('prepare', 'set') == 2
    assert 'rename it' in capsys.readouterr().err
    assert sorted(os.listdir('set')) == ['images', 'masks']


@pytest.mark.parametrize('kind', ['link', 'old list'])
def test_a_division_that_would_cost_something(tmp_path, monkeypatch, capsys, kind):
    """A list that is a link to a mask; a list that shares images with the new ones."""
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path, 9)
    os.mkdir('set')
    os.rename('maps', 'set/images')
    os.rename('masks', 'set/masks')
    mask = Path('set/masks/000.png').read_bytes()
    words = ('prepare', 'set', '--overwrite')
    if kind == 'link':
        Path('set/train.txt').symlink_to('masks/000.png')
    else:
        assert command(*words) == 0
        words += ('--test-ratio', 0)
    assert command(*words) == 2
    assert 'set/' in capsys.readouterr().err
    assert Path('set/masks/000.png').read_bytes() == mask


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Maps and masks, a set of images, maps of nnU-Net, and a config with a base."""
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path, 2, size=16)
    (tmp_path / 'set').mkdir()
    (tmp_path / 'set' / 'masks').symlink_to(tmp_path / 'masks')
    (tmp_path / 'set' / 'images').mkdir()
    for path in (tmp_path / 'maps').iterdir():
        Image.open(path).convert('L').save(tmp_path / 'set' / 'images' / path.name)
    (tmp_path / 'nnunet').mkdir()
    np.savez(
        tmp_path / 'nnunet' / '000.npz', probabilities=np.full((2, 1, 16, 16), 0.5)
    )
    (tmp_path / 'c.py').write_text("_base_ = ['x.py']\n")
    return tmp_path


def test_a_pipe_among_the_photographs_of_a_training(here):
    Path('set/images/000.png').unlink()
    os.mkfifo('set/images/000.png')
    with pytest.raises(ValueError, match=r'000\.png: not a file'):
        list_pairs(('set/images', 'set/masks'))


def pipe(path, hit):
    os.mkfifo(path)


def device(path, hit):
    path.symlink_to('/dev/zero')


def folder(path, hit):
    path.mkdir()


@pytest.mark.parametrize('attack', [pipe, device, folder])
def test_a_list_of_a_part_that_is_not_a_file(here, attack):
    attack(Path('set/train.txt'), None)
    with pytest.raises(ValueError, match=r'train\.txt: not a file'):
        folders, list_file = locate('set', None, 'train')
        list_pairs(folders, list_file=list_file)


def test_an_image_whose_name_holds_a_suffix_is_in_one_part(tmp_path):
    for kind in ('images', 'masks'):
        (tmp_path / kind).mkdir()
        for k, stem in enumerate(['a', 'a.png', *'bcdefgh']):
            suffix = 'jpg' if kind == 'images' else 'png'
            grey = np.full((4, 4), k, np.uint8) if kind == 'images' else np.eye(4)
            picture = Image.fromarray((grey > 0).astype(np.uint8) * 255)
            picture.save(tmp_path / kind / f'{stem}.{suffix}')
    parts = prepare_dataset(str(tmp_path)).parts
    from mmaslp.files.datasets import keep_listed, list_stems

    images = list_stems(str(tmp_path / 'images'))
    found = [
        name
        for part in parts
        for name in keep_listed(images, str(tmp_path / f'{part}.txt'), 'x').values()
    ]
    assert sorted(found) == sorted(images.values())
