import importlib.util
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmaslp.datasets import SODDataset
from mmaslp.datasets.masks import read_binary_mask

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'prepare_dataset.py'
NAMES = [f'n{i:02d}' for i in range(20)]


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('prepare_dataset', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_pairs(root, images, masks, names=NAMES, level=255):
    for seed, name in enumerate(names):
        rng = np.random.default_rng(seed)
        image = rng.integers(0, 256, (10, 12, 3)).astype(np.uint8)
        mask = np.zeros((10, 12), np.uint8)
        mask[:5] = level
        for folder, array, suffix in ((images, image, 'jpg'), (masks, mask, 'png')):
            path = root / folder / f'{name}.{suffix}'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path)


def pack(folder, archive):
    with zipfile.ZipFile(archive, 'w') as file:
        for path in sorted(folder.rglob('*')):
            file.write(path, path.relative_to(folder))
    shutil.rmtree(folder)


def snapshot(folder):
    return {
        str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mtime_ns)
        for p in folder.rglob('*')
        if p.is_file()
    }


def run(tool, name, source, out, *options):
    tool.main([name, '--source', *map(str, source), '--out', str(out), *options])


def fail(tool, *args):
    with pytest.raises(SystemExit) as error:
        run(tool, *args)
    return str(error.value.code)


@pytest.fixture
def duts(tmp_path):
    """DUTS as it is downloaded."""
    download = tmp_path / 'download'
    for part in ('TR', 'TE'):
        inner = f'DUTS-{part}/DUTS-{part}'
        write_pairs(tmp_path / 'x', f'{inner}-Image', f'{inner}-Mask')
        download.mkdir(exist_ok=True)
        pack(tmp_path / 'x', download / f'DUTS-{part}.zip')
    return download


def test_duts_from_archives(tool, duts, tmp_path):
    before = snapshot(duts)
    (tmp_path / 'val.txt').write_text('n03.jpg\r\nn11.jpg\r\n')
    out = tmp_path / 'data'
    run(tool, 'duts', [duts], out, '--val-list', str(tmp_path / 'val.txt'))
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


def test_random_split_depends_on_the_seed(tool, duts, tmp_path):
    lists = []
    for name, seed in (('a', '1'), ('b', '1'), ('c', '2')):
        out = tmp_path / name
        options = ('--val-ratio', '0.25', '--seed', seed)
        run(tool, 'duts-tr', [duts / 'DUTS-TR.zip'], out, *options)
        train = (out / 'DUTS-TR/train.txt').read_text().split()
        val = (out / 'DUTS-TR/val.txt').read_text().split()
        assert sorted(train + val) == NAMES and len(val) == 5
        lists.append(val)
    assert lists[0] == lists[1] != lists[2]


def test_second_run_changes_lists_only(tool, duts, tmp_path):
    out = tmp_path / 'data'
    run(tool, 'duts', [duts], out, '--val-ratio', '0.1')
    first = snapshot(out)
    (out / '.DUTS-TR.partial').mkdir()  # as a killed run leaves it
    run(tool, 'duts', [duts], out, '--val-ratio', '0.3')
    second = snapshot(out)
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {'DUTS-TR/train.txt', 'DUTS-TR/val.txt'}
    run(tool, 'duts', [out], out, '--val-ratio', '0.2')  # the target as the source
    assert len((out / 'DUTS-TR/val.txt').read_text().split()) == 4


def test_interrupted_run_is_taken_up(tool, duts, tmp_path, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    out = tmp_path / 'data'
    with monkeypatch.context() as patch:
        patch.setattr(tool.os, 'rename', stop)
        with pytest.raises(KeyboardInterrupt):
            run(tool, 'duts-te', [duts], out)
    assert not (out / 'DUTS-TE').exists()
    run(tool, 'duts-te', [duts], out)
    assert os.listdir(out) == ['DUTS-TE']
    assert len(SODDataset(str(out), layout='DUTS-TE')) == 20


@pytest.mark.parametrize(
    ('name', 'layout', 'images', 'masks'),
    [
        ('dut-omron', 'DUT-OMRON', 'DUT-OMRON-image', 'pixelwiseGT-new-PNG'),
        ('pascal-s', 'PASCAL-S', 'datasets/imgs/pascal', 'datasets/masks/pascal'),
        ('sod', 'SOD', 'SOD/Imgs', 'SOD/Imgs'),
        ('ecssd', 'ECSSD', 'images', 'ground_truth_mask'),
        ('hku-is', 'HKU-IS', 'HKU-IS/imgs', 'HKU-IS/gt'),
    ],
)
@pytest.mark.parametrize('how', ['--copy', '--symlink'])
def test_test_sets_from_folders(tool, tmp_path, name, layout, images, masks, how):
    source = tmp_path / 'source'
    write_pairs(source, images, masks)
    before = snapshot(source)
    run(tool, name, [source], tmp_path / 'data', how)
    assert snapshot(source) == before
    dataset = SODDataset(str(tmp_path / 'data'), layout=layout)
    assert len(dataset) == 20
    path = dataset.get_data_info(0)['img_path']
    assert os.path.islink(path) == (how == '--symlink')
    assert read_binary_mask(dataset.get_data_info(0)['seg_map_path']).mean() == 0.5


def test_images_and_masks_in_two_archives(tool, tmp_path):
    for folder in ('images', 'ground_truth_mask'):
        write_pairs(tmp_path / 'x', 'images', 'ground_truth_mask')
        other = {'images': 'ground_truth_mask'}.get(folder, 'images')
        shutil.rmtree(tmp_path / 'x' / other)
        pack(tmp_path / 'x', tmp_path / f'{folder}.zip')
    sources = [tmp_path / 'images.zip', tmp_path / 'ground_truth_mask.zip']
    run(tool, 'ecssd', sources, tmp_path / 'data')
    assert len(SODDataset(str(tmp_path / 'data'), layout='ECSSD')) == 20


def test_votes_of_pascal_s_are_cut_at_half(tool, tmp_path):
    write_pairs(
        tmp_path / 's', 'datasets/imgs/pascal', 'datasets/masks/pascal', level=170
    )
    run(tool, 'pascal-s', [tmp_path / 's'], tmp_path / 'data')
    mask = np.asarray(Image.open(tmp_path / 'data/PASCAL-S/masks/n00.png'))
    assert np.unique(mask).tolist() == [0, 255]
    assert (mask[:5] == 255).all()


def test_textures(tool, tmp_path):
    for name in ('cracked_01', 'woven_02', 'woven_03'):
        folder = tmp_path / 'dtd' / 'images' / name.split('_')[0]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (9, 7), (9, 99, 9)).save(folder / f'{name}.jpg')
    (tmp_path / 'list.txt').write_text('woven_03.jpg\ncracked_01.jpg\n')
    out = tmp_path / 'data'
    run(tool, 'dtd-500', [tmp_path], out, '--list', str(tmp_path / 'list.txt'))
    for options in ({}, {'empty_masks': True}):
        dataset = SODDataset(str(out), layout='DTD-500', **options)
        paths = [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
        assert [Path(p).name for p in paths] == ['cracked_01.jpg', 'woven_03.jpg']
    mask = read_binary_mask(out / 'DTD-500/masks/woven_03.png')
    assert mask.shape == (7, 9) and not mask.any()
    (tmp_path / 'list.txt').write_text('woven_03.jpg\nbubbly_01.jpg\n')
    message = fail(
        tool, 'dtd-500', [tmp_path], out, '--list', str(tmp_path / 'list.txt')
    )
    assert 'bubbly_01' in message


@pytest.mark.parametrize('name', ['folder', 'sod'])
def test_all_problems_in_one_message(tool, tmp_path, name):
    source = tmp_path / 'source'
    write_pairs(source, 'images', 'masks')
    Image.new('L', (5, 5)).save(source / 'masks/n01.png')
    Image.fromarray(np.full((10, 12), 128, np.uint8)).save(source / 'masks/n02.png')
    (source / 'images/n03.jpg').write_bytes(b'')
    data = (source / 'masks/n04.png').read_bytes()
    (source / 'masks/n04.png').write_bytes(data[: len(data) // 2])
    os.remove(source / 'masks/n05.png')
    os.remove(source / 'images/n06.jpg')
    message = fail(tool, name, [source], tmp_path / 'out' / 'set')
    assert message.startswith('error: 6 problems')
    for part in (
        'n01.png: the mask is 5 x 5',
        'n02.png: not a binary mask',
        'n03.jpg: not a readable image',
        'n04.png: not a readable image',
        'n05.jpg: has no mask',
        'n06.png: has no image',
    ):
        assert part in message
    assert not (tmp_path / 'out' / 'set').exists()
    run(tool, name, [source], tmp_path / 'out' / 'set', '--skip-bad')
    kept = list((tmp_path / 'out' / 'set').rglob('*.jpg'))
    assert len(kept) == 14


def test_own_folder_is_split(tool, tmp_path):
    write_pairs(tmp_path / 'mine', 'Images', 'GT')
    options = ('--val-ratio', '0.1', '--test-ratio', '0.3')
    run(tool, 'folder', [tmp_path / 'mine'], tmp_path / 'out', *options)
    names = {}
    for split, count in (('train', 12), ('val', 2), ('test', 6)):
        dataset = SODDataset(str(tmp_path / 'out'), split=split)
        assert len(dataset) == count
        names[split] = {
            Path(p).stem for p in os.listdir(tmp_path / 'out' / split / 'masks')
        }
    assert set.union(*names.values()) == set(NAMES)
    message = fail(tool, 'folder', [tmp_path / 'out'], tmp_path / 'again')
    assert 'is split already' in message


def test_nothing_is_overwritten(tool, tmp_path):
    write_pairs(tmp_path / 'mine', 'images', 'masks')
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'thesis.txt').write_text('x')
    assert 'holds other data' in fail(
        tool, 'folder', [tmp_path / 'mine'], tmp_path / 'out'
    )
    assert os.listdir(tmp_path / 'out') == ['thesis.txt']


@pytest.mark.parametrize('name', ['duts', 'hku-is', 'dtd-500'])
def test_missing_data_says_what_to_fetch(tool, tmp_path, name):
    fetch = {'duts': 'DUTS-TR.zip', 'hku-is': 'HKU-IS', 'dtd-500': 'dtd-r1.0.1'}[name]
    message = fail(tool, name, [tmp_path], tmp_path / 'out')
    assert fetch in message and str(tmp_path) in message
    assert 'does not exist' in fail(tool, name, [tmp_path / 'no'], tmp_path / 'out')
    with pytest.raises(SystemExit) as error:
        tool.main([name, '--out', str(tmp_path / 'out')])
    assert fetch in str(error.value.code)


def test_unreadable_sources(tool, tmp_path):
    for name in ('HKU-IS.rar', 'HKU-IS.zip'):
        (tmp_path / name).write_bytes(b'Rar!')
        message = fail(tool, 'hku-is', [tmp_path / name], tmp_path / 'out')
        assert name in message and 'unpack it yourself' in message.lower()


def test_bad_splits(tool, duts, tmp_path):
    (tmp_path / 'val.txt').write_text('n03\nother\n')
    message = fail(
        tool, 'duts', [duts], tmp_path / 'o', '--val-list', str(tmp_path / 'val.txt')
    )
    assert '1 of 2' in message and 'other' in message
    assert not (tmp_path / 'o' / 'DUTS-TR').exists()
    assert 'leave something' in fail(
        tool, 'duts', [duts], tmp_path / 'p', '--val-ratio', '1'
    )


def test_another_set_beside_is_not_taken(tool, tmp_path):
    write_pairs(tmp_path / 'ECSSD', 'images', 'masks')
    write_pairs(tmp_path / 'HKU-IS', 'imgs', 'gt')
    assert 'no SOD data' in fail(tool, 'sod', [tmp_path], tmp_path / 'out')


def test_synthetic(tool, tmp_path):
    tool.main(['synthetic', '--out', str(tmp_path)])
    assert len(SODDataset(str(tmp_path / 'synthetic_sod'), split='train')) == 60


def test_published_lists_of_the_team(tool, shared):
    lists = shared / 'data' / 'lists'
    counts = {'DUTS-TR-Train': 9553, 'DUTS-TR-Validation': 1000, 'DTD-500': 500}
    for name, count in counts.items():
        assert len(tool.read_list(str(lists / f'{name}.txt'))) == count
