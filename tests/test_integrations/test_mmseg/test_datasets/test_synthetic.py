import json
import multiprocessing
import os

import pytest
from PIL import Image

from mmaslp.files import synthetic as module
from mmaslp.files import synthetic as scenes
from mmaslp.files.images import read_binary_mask
from mmaslp.files.synthetic import make_synthetic_sod
from mmaslp.integrations.mmseg.datasets import SyntheticSODDataset

SMALL = dict(size=32, num_images=dict(train=12, val=3, test=4))


def read(folder):
    """All files of a set, by relative name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def test_splits(tmp_path):
    make_synthetic_sod(str(tmp_path / 'set'), **SMALL)
    for split, count in SMALL['num_images'].items():
        dataset = SyntheticSODDataset(str(tmp_path / 'set'), split, **SMALL)
        assert len(dataset) == count
        for i in range(count):
            info = dataset.get_data_info(i)
            assert Image.open(info['img_path']).size == (32, 32)
            assert read_binary_mask(info['seg_map_path']).mean() < 0.6


def test_the_seed_decides_everything(tmp_path):
    for name, seed in (('a', 0), ('b', 0), ('c', 1)):
        make_synthetic_sod(str(tmp_path / name), seed=seed, **SMALL)
    a, b, c = (read(tmp_path / name) for name in 'abc')
    assert a == b
    assert all(a[name] != c[name] for name in a if 'images' in name)


def test_wrong_masks_are_the_listed_ones(tmp_path, monkeypatch):
    make_synthetic_sod(str(tmp_path / 'wrong'), **SMALL)
    manifest = json.loads((tmp_path / 'wrong' / 'manifest.json').read_text())
    masks = manifest['wrong_masks']
    assert len(masks) == 1
    monkeypatch.setattr(scenes, 'WRONG_SHARE', 0)
    make_synthetic_sod(str(tmp_path / 'right'), **SMALL)
    right, wrong = read(tmp_path / 'right'), read(tmp_path / 'wrong')
    changed = [name for name in right if right[name] != wrong[name]]
    expected = [f'train/masks/{name}.png' for name in masks]
    assert changed == ['manifest.json', *expected]


def test_other_settings_and_foreign_folders_are_refused(tmp_path):
    make_synthetic_sod(str(tmp_path / 'set'), **SMALL)
    with pytest.raises(ValueError, match=r"other settings.*'seed': 0.*'seed': 1"):
        SyntheticSODDataset(str(tmp_path / 'set'), seed=1, **SMALL)
    foreign = tmp_path / 'mine'
    foreign.mkdir()
    (foreign / 'thesis.txt').write_text('x')
    with pytest.raises(ValueError, match='no whole manifest'):
        SyntheticSODDataset(str(foreign), **SMALL)
    assert os.listdir(foreign) == ['thesis.txt']
    (tmp_path / 'set' / 'manifest.json').write_text('{"seed"')
    with pytest.raises(ValueError, match='no whole manifest'):
        make_synthetic_sod(str(tmp_path / 'set'), **SMALL)


def test_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    def stop(split, *args, **settings):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, 'draw_split', stop)
        make_synthetic_sod(str(tmp_path / 'set'), **SMALL)
    assert os.listdir(tmp_path) == []
    make_synthetic_sod(str(tmp_path / 'set'), **SMALL)
    assert os.listdir(tmp_path) == ['set']


def test_concurrent_runs_agree(tmp_path):
    context = multiprocessing.get_context('fork')
    workers = [
        context.Process(
            target=make_synthetic_sod, args=(str(tmp_path / 'set'),), kwargs=SMALL
        )
        for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert os.listdir(tmp_path) == ['set']
    make_synthetic_sod(str(tmp_path / 'alone'), **SMALL)
    assert read(tmp_path / 'set') == read(tmp_path / 'alone')
