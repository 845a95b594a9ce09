import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from mmseg.registry import TRANSFORMS

import mmaslp  # noqa: F401


def sample(size=16):
    mask = np.zeros((size, size), np.uint8)
    mask[:, size // 2 :] = 1
    mask[:2] = 255
    image = np.tile(np.arange(size, dtype=np.uint8)[:, None], (size, 1, 3))
    return dict(
        img=image.reshape(size, size, 3),
        img_shape=(size, size),
        gt_seg_map=mask,
        gt_edge_map=mask.copy(),
        seg_fields=['gt_seg_map', 'gt_edge_map'],
        img_path='a.png',
    )


def crop(**options):
    return TRANSFORMS.build(dict(type='ObjectFreeCrop', **options))


def test_a_sample_becomes_a_window():
    np.random.seed(0)
    given = sample()
    found = crop(prob=1.0)(dict(given))
    assert found['img'].shape == (16, 16, 3)
    assert found['img'].dtype == np.uint8
    assert not found['gt_seg_map'].any()
    assert not found['gt_edge_map'].any()
    assert found['img'].min() >= 2  # the first two rows are ignored
    assert given['gt_seg_map'].any()
    same = crop(prob=0.0)(dict(given))
    assert same['img'] is given['img']


def test_what_is_missing_is_named():
    given = sample()
    del given['gt_seg_map']
    with pytest.raises(
        ValueError, match=r'a\.png: .*after LoadBinaryAnnotations and before Pack'
    ):
        crop(prob=1.0)(given)
    given = sample()
    given['gt_seg_map'] = given['gt_seg_map'][:8]
    with pytest.raises(ValueError, match=r'a\.png: .* differ'):
        crop(prob=1.0)(given)


@pytest.mark.parametrize('place', ['before', 'after'])
def test_a_training_with_it(toy, tmp_path, place):
    resize = dict(type='Resize', scale=(32, 32), keep_ratio=False)
    steps = [dict(type='ObjectFreeCrop', prob=0.5), resize]
    cfg = toy.config(tmp_path / 'run')
    pipeline = cfg.train_dataloader.dataset.pipeline
    pipeline[2:2] = steps if place == 'before' else steps[::-1]
    runner = Runner.from_cfg(cfg)
    dataset = runner.build_dataloader(cfg.train_dataloader, seed=0).dataset
    samples = [dataset[k % 10] for k in range(80)]
    empty = [not item['data_samples'].gt_sem_seg.data.any() for item in samples]
    assert np.mean(empty) == pytest.approx(0.5, abs=0.2)
    assert {item['inputs'].shape for item in samples} == {torch.Size([3, 32, 32])}
    runner.train()
    assert runner.epoch == cfg.train_cfg.max_epochs
