import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmaslp.files import prepare as module
from mmaslp.files.masks import read_binary_mask
from mmaslp.files.prepare import divide, prepare_dataset
from mmaslp.hosts.mmseg.datasets import SODDataset

NAMES = [f'n{i:02d}' for i in range(20)]


def snapshot(folder):
    return {
        str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns)
        for p in folder.rglob('*')
        if p.is_file()
    }


def run(name, sources, out, **options):
    prepare_dataset(name, [*map(str, sources)], str(out), **options)


def fail(*args, **options):
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        run(*args, **options)
    return str(error.value)


def test_duts_from_archives(duts, tmp_path):
    before = snapshot(duts)
    (tmp_path / 'val.txt').write_text('n03.jpg\r\nn11.jpg\r\n')
    out = tmp_path / 'data'
    run('duts', duts.iterdir(), out, val_list=str(tmp_path / 'val.txt'))
    assert snapshot(duts) == before
    assert sorted(os.listdir(out)) == ['DUTS-TE', 'DUTS-TR']
    assert sorted(os.listdir(tmp_path)) == ['data', 'download', 'val.txt']
    parts = {
        part: SODDataset(str(out), layout='DUTS-TR', ann_file=f'DUTS-TR/{part}.txt')
        for part in ('train', 'val')
    }
    assert (len(parts['train']), len(parts['val'])) == (18, 2)
    assert parts['val'].get_data_info(0)['img_path'].endswith('DUTS-TR-Image/n03.jpg')
    assert len(SODDataset(str(out), layout='DUTS-TE')) == 20
    first = snapshot(out)
    (out / '.DUTS-TR.partial').mkdir()  # as a killed run leaves it
    run('duts', [out], out, val_ratio=0.3)  # the target as the source: new lists
    changed = {name for name, each in snapshot(out).items() if first[name] != each}
    assert changed == {'DUTS-TR/train.txt', 'DUTS-TR/val.txt'}
    assert len((out / 'DUTS-TR/val.txt').read_text().split()) == 6


def test_parts():
    names = [*'abcdefghij']
    parts = divide(names, [], 0.2, 0.3, seed=1)
    assert parts == divide(reversed(names), [], 0.2, 0.3, seed=1)
    assert [*map(len, parts.values())] == [5, 2, 3]
    assert sorted(''.join(map(''.join, parts.values()))) == names
    assert 'test' not in divide(names, [], 0.2, 0.0, seed=1)
    with pytest.raises(ValueError, match='leaves no image to train on'):
        divide(names, [], 0.5, 0.5, seed=1)


def test_interrupted_run_is_taken_up(duts, tmp_path, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    out = tmp_path / 'data'
    with monkeypatch.context() as patch:
        patch.setattr(os, 'rename', stop)
        with pytest.raises(KeyboardInterrupt):
            run('duts-te', [duts / 'DUTS-TE.zip'], out)
    assert not (out / 'DUTS-TE').exists()
    run('duts-te', [duts / 'DUTS-TE.zip'], out)
    assert os.listdir(out) == ['DUTS-TE']
    assert len(SODDataset(str(out), layout='DUTS-TE')) == 20


@pytest.mark.parametrize(
    ('name', 'layout', 'images', 'masks'),
    [
        ('dut-omron', 'DUT-OMRON', 'DUT-OMRON-image', 'pixelwiseGT-new-PNG'),
        ('pascal-s', 'PASCAL-S', 'datasets/imgs/pascal', 'datasets/masks/pascal'),
        ('sod', 'SOD', 'SOD/Imgs', 'SOD/Imgs'),
    ],
)
def test_test_sets_from_folders(tmp_path, name, layout, images, masks, write_pairs):
    source = tmp_path / 'source'
    write_pairs(source, NAMES, images, masks)
    before = snapshot(source)
    run(name, [source], tmp_path / 'data')
    assert snapshot(source) == before
    dataset = SODDataset(str(tmp_path / 'data'), layout=layout)
    assert len(dataset) == 20
    assert read_binary_mask(dataset.get_data_info(0)['seg_map_path']).mean() == 0.5


def test_votes_are_cut_at_half(tmp_path, write_pairs):
    write_pairs(tmp_path / 'pascal', NAMES)
    votes = np.repeat(np.uint8([0, 85, 170, 255]), 5)[None].repeat(14, 0)
    Image.fromarray(votes).save(tmp_path / 'pascal/masks/n00.png')
    run('pascal-s', [tmp_path / 'pascal'], tmp_path / 'data')
    mask = read_binary_mask(tmp_path / 'data/PASCAL-S/masks/n00.png')
    assert np.array_equal(mask, votes > 127)


def test_textures(tmp_path):
    for name in ('cracked_01', 'woven_02', 'woven_03'):
        folder = tmp_path / 'dtd' / 'images' / name.split('_')[0]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (9, 7), (9, 99, 9)).save(folder / f'{name}.jpg')
    (tmp_path / 'list.txt').write_text('woven_03.jpg\ncracked_01.jpg\n')
    options = dict(list_file=str(tmp_path / 'list.txt'))
    run('dtd-500', [tmp_path / 'dtd'], tmp_path / 'data', **options)
    dataset = SODDataset(str(tmp_path / 'data'), layout='DTD-500', empty_masks=True)
    paths = [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
    assert [Path(p).name for p in paths] == ['cracked_01.jpg', 'woven_03.jpg']
    (tmp_path / 'list.txt').write_text('woven_03.jpg\nbubbly_01.jpg\n')
    assert 'bubbly_01' in fail('dtd-500', [tmp_path], tmp_path / 'data', **options)


@pytest.mark.parametrize('name', ['folder', 'sod'])
def test_all_problems_in_one_message(tmp_path, name, write_pairs):
    source = tmp_path / 'source'
    write_pairs(source, NAMES, 'images', 'masks')
    Image.new('L', (5, 5)).save(source / 'masks/n01.png')
    Image.fromarray(np.full((10, 12), 128, np.uint8)).save(source / 'masks/n02.png')
    (source / 'images/n03.jpg').write_bytes(b'')
    data = (source / 'masks/n04.png').read_bytes()
    (source / 'masks/n04.png').write_bytes(data[: len(data) // 2])
    os.remove(source / 'masks/n05.png')
    os.remove(source / 'images/n06.jpg')
    message = fail(name, [source], tmp_path / 'out' / 'set')
    assert message.startswith('6 problem(s) with ')
    for part in (
        'n01.png: the mask is 5 x 5',
        'n02.png: not a binary mask',
        'n03.jpg: ',
        'n04.png: cannot be read as an image',
        'image n05 of',
        'mask n06 of',
    ):
        assert part in message
    assert not (tmp_path / 'out' / 'set').exists()
    run(name, [source], tmp_path / 'out' / 'set', skip_bad=True)
    kept = list((tmp_path / 'out' / 'set').rglob('*.jpg'))
    assert len(kept) == 14


def test_nothing_is_overwritten(tmp_path, write_pairs):
    write_pairs(tmp_path / 'mine', NAMES, 'images', 'masks')
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'thesis.txt').write_text('x')
    assert 'holds other data' in fail('folder', [tmp_path / 'mine'], tmp_path / 'out')
    assert os.listdir(tmp_path / 'out') == ['thesis.txt']


@pytest.mark.parametrize('kind', ['zip', 'gztar'])
def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(module, 'MAX_SMALL', 2**16)
    source = tmp_path / 'ECSSD'
    source.mkdir()
    (source / 'zeros').write_bytes(bytes(2**20))
    archive = shutil.make_archive(str(tmp_path / 'ecssd'), kind, tmp_path, 'ECSSD')
    message = fail('ecssd', [archive], tmp_path / 'out')
    assert 'unpacks to more than 200 times its size' in message
    assert not (tmp_path / 'out').exists()
