"""Every kind of file that is read, and what somebody may put in its place."""

import gzip
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.evil import command, payloads
from tests.map_folders import write_set


def script(path):
    path.write_bytes(b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n')


def turned(path):
    image = Image.open(path)
    image.load()
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(path, exif=exif)


@pytest.mark.parametrize('attack', [script, turned], ids=lambda each: each.__name__)
@pytest.mark.parametrize('kind', ['maps', 'masks'])
def test_an_image_of_another_kind(tmp_path, monkeypatch, capsys, kind, attack):
    """No program such as Ghostscript is run, and nothing lies otherwise than shown."""
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path, 2)
    (tmp_path / 'bin').mkdir()
    (tmp_path / 'bin' / 'gs').write_text(f'#!/bin/sh\nmkdir {tmp_path}/hit\n')
    (tmp_path / 'bin' / 'gs').chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}/bin:{os.environ["PATH"]}')
    monkeypatch.setattr('PIL.EpsImagePlugin.gs_binary', None)
    attack(tmp_path / kind / '000.png')
    assert command('eval-maps', 'maps', 'masks') == 2
    assert f'{kind}/000.png' in capsys.readouterr().err
    assert not (tmp_path / 'hit').exists()


# The file, as SECURITY.md lists them, and a command that reads it.
MAPS = ('eval-maps', 'maps', 'masks')
READ = {
    **{f'a map, {end}': (f'maps/000.{end}', MAPS) for end in ('png', 'npy', 'npz')},
    **{f'a mask, {end}': (f'masks/000.{end}', MAPS) for end in ('png', 'npy', 'npz')},
    'a map, nii': ('maps/000.nii', MAPS),
    'a map, nii.gz': ('maps/000.nii.gz', MAPS),
    'a mask, nii.gz': ('masks/000.nii.gz', MAPS),
    'a description of nnU-Net': (
        'nnunet/dataset.json',
        ('eval-maps', 'nnunet', 'masks'),
    ),
    'a calibrator': ('x.json', ('apply', 'x.json', 'maps', '--out', 'out')),
    'a result': ('x.json', ('compare', 'x.json', 'x.json')),
    'a list': ('x.txt', ('prepare', 'set', '--val-list', 'x.txt')),
    'an image': ('set/images/000.png', ('prepare', 'set')),
    'a config': ('x.py', ('train', 'x.py')),
    'a base of a config': ('x.py', ('train', 'c.py')),
    'a checkpoint': ('x.pth', ('test', 'mmaslp::demo/bce.py', 'x.pth')),
}
HUGE = 2**33


def pipe(path, hit):
    os.mkfifo(path)


def device(path, hit):
    path.symlink_to('/dev/zero')


def folder(path, hit):
    path.mkdir()


def huge(path, hit):
    path.touch()
    os.truncate(path, HUGE)


def code(path, hit):
    path.write_bytes(pickle.dumps(payloads(hit)['os.mkdir']))


def empty(path, hit):
    path.touch()


def loop(path, hit):
    path.symlink_to(path.name)


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


ATTACKS = (pipe, device, folder, huge, code, empty, loop)


@pytest.mark.parametrize('attack', ATTACKS, ids=lambda attack: attack.__name__)
@pytest.mark.parametrize('kind', READ)
def test_it_is_refused_by_name(here, capsys, kind, attack):
    """In no time, with one message, and nothing runs or is written."""
    file, words = READ[kind]
    path = Path(file)
    for other in path.parent.glob(f'{path.name.partition(".")[0]}.*'):
        if path.parent != Path():
            other.unlink()
    attack(path, here / 'hit')
    is_description = file.endswith('dataset.json') and attack in (
        pipe,
        device,
        folder,
        loop,
    )
    if is_description or (kind.endswith('config') and attack is empty):
        pytest.skip('it counts as absent, or as a config of nothing')
    before = {*here.rglob('*')}
    assert command(*words) == 2
    said = capsys.readouterr().err
    assert (path.stem if kind == 'an image' else path.name) in said
    assert 'Traceback' not in said
    assert {*here.rglob('*')} == before


@pytest.mark.parametrize('suffix', ['.npz', '.nii.gz', 'behind.nii.gz'])
def test_a_bomb_is_refused_before_it_is_unpacked(here, capsys, monkeypatch, suffix):
    """A file of some kB that would take a GB."""
    monkeypatch.setattr('mmaslp.common.inputs.MAX_BYTES', 2**20)
    path = here / 'maps' / f'000{suffix.removeprefix("behind")}'
    (here / 'maps' / '000.png').unlink()
    zeros = np.zeros((1024, 1024), np.float32)
    if suffix == '.npz':
        np.savez_compressed(path, zeros)
    else:
        nibabel = pytest.importorskip('nibabel')
        behind = suffix == 'behind.nii.gz'
        values = zeros[:16, :16] if behind else zeros
        data = nibabel.Nifti1Image(values, np.eye(4)).to_bytes()
        path.write_bytes(gzip.compress(data + zeros.tobytes() * behind))
    assert command(*MAPS) == 2
    said = capsys.readouterr().err
    assert path.name in said
    assert ('goes on behind' if 'behind' in suffix else 'unpacks to 4,194') in said


def test_a_pattern_that_does_not_end(here, capsys, monkeypatch):
    monkeypatch.setattr('mmaslp.commands.groups.MOST_SECONDS', 1)
    for kind in ('maps', 'masks'):
        os.rename(f'{kind}/000.png', f'{kind}/{"p" * 40}x.png')
    words = ('fit', 'maps', 'masks', '--out', 'c.json', '--groups', '(p+)+$')
    assert command(*words) == 2
    assert '--groups' in capsys.readouterr().err


def test_more_resamples_than_anybody_needs(here, capsys):
    assert command(*MAPS, '--resamples', 10**9) == 2
    assert 'resamples' in capsys.readouterr().err
