from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import DATASETS

BASE = Path(__file__).resolve().parents[4] / 'configs' / '_base_' / 'datasets'


@pytest.fixture(scope='module', autouse=True)
def scope():
    init_default_scope('mmseg')


@pytest.mark.release
def test_built_in_data(tmp_path):
    data_root = str(tmp_path / 'synthetic_sod')
    cfg = Config.fromfile(BASE / 'synthetic_sod.py')
    sizes = {}
    for name in ('train', 'val', 'test'):
        loader = cfg[f'{name}_dataloader']
        loader.dataset.data_root = data_root
        loader = Runner.build_dataloader(loader, seed=0)
        batch = next(iter(loader))
        sizes[name] = len(loader.dataset)
        assert batch['inputs'][0].shape == (3, *cfg.crop_size)
        assert batch['data_samples'][0].gt_sem_seg.data.unique().tolist() == [0, 1]
    for name, dataset in cfg.ood_sets.items():
        dataset = DATASETS.build({**dataset, 'data_root': data_root})
        sizes[name] = len(dataset)
        assert not dataset[0]['data_samples'].gt_sem_seg.data.any()
    assert sizes == {'train': 60, 'val': 240, 'test': 300, 'synthetic-ood': 60}
