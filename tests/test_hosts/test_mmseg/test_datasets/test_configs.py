from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import DATASETS

from mmaslp.files.synthetic import make_synthetic_sod

BASE = Path(__file__).resolve().parents[4] / 'configs' / '_base_' / 'datasets'


@pytest.fixture(scope='module', autouse=True)
def scope():
    init_default_scope('mmseg')


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp('data') / 'synthetic_sod'
    make_synthetic_sod(str(root), num_images=dict(train=3, val=3, test=3, ood=3))
    return str(root)


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


@pytest.mark.parametrize('name', ['synthetic_sod', 'sod_folder', 'duts'])
def test_labels_keep_the_size_of_the_file(data_root, name):
    cfg = Config.fromfile(BASE / f'{name}.py')
    dataset = DATASETS.build(
        dict(type='SODDataset', data_root=data_root, split='test', indices=3)
    )
    info = dataset.get_data_info(0)
    packed = Compose(cfg.test_pipeline)(dict(info, seg_fields=[]))
    assert packed['inputs'].shape == (3, *cfg.crop_size)
    assert packed['data_samples'].gt_sem_seg.shape == (64, 64)
    views = Compose(cfg.tta_pipeline)(dict(info, seg_fields=[]))
    sides = [view.shape[-1] * 4 // cfg.crop_size[0] for view in views['inputs']]
    assert sorted(sides) == [3, 3, 4, 4, 5, 5]
    flips = [sample.flip for sample in views['data_samples']]
    assert flips.count(True) == 3
    for sample in views['data_samples']:
        assert sample.gt_sem_seg.shape == (64, 64)
        assert sample.gt_sem_seg.data.unique().tolist() == [0, 1]


def test_own_folder(shared):
    cfg = Config.fromfile(BASE / 'sod_folder.py')
    for name, count in (('train', 630), ('val', 90), ('test', 180)):
        dataset = cfg[f'{name}_dataloader'].dataset
        dataset.data_root = str(shared / 'data' / 'sd_saliency_900')
        dataset = DATASETS.build(dataset)
        assert len(dataset) == count
        assert dataset[0]['inputs'].shape == (3, *cfg.crop_size)
