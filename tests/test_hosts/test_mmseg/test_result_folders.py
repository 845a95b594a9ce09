import pytest
from mmengine.config import Config

from mmaslp.hosts.mmseg.result_folders import (
    check_folders,
    folder_of_set,
    results_folder,
)


def test_names():
    cfg = Config(dict(work_dir='run'))
    assert results_folder(cfg) == 'run/eval'
    assert results_folder(cfg, tta=True) == 'run/eval_tta'


def test_folder_of_a_set():
    assert folder_of_set(None, 'a', several=True) is None
    assert folder_of_set('x', 'a', several=False) == 'x'
    assert folder_of_set('x', 'a', several=True) == 'x/a'


def test_every_set_is_looked_at(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    sets = {'images': cfg.test_dataloader.dataset, 'b': cfg.train_dataloader.dataset}
    check_folders(cfg, sets, {'--out': 'new', '--out-prob': None})
    for root in ('toy/val', 'toy/train'):
        with pytest.raises(ValueError, match='--out-prob'):
            check_folders(cfg, sets, {'--out': None, '--out-prob': root})
