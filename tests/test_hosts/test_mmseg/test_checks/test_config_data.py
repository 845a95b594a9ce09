"""The data of a config, for the doctor."""

from mmaslp.hosts.mmseg.checks.config_data import (
    build_datasets,
    examine_data,
    iters_per_epoch,
)


def test_the_datasets_that_are_here(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    cfg.test_dataloader.dataset.data_root = str(tmp_path / 'elsewhere')
    datasets, findings = build_datasets(cfg)
    assert set(datasets) == {'train', 'val'} and not findings
    assert not examine_data(cfg, datasets)
    assert iters_per_epoch(cfg, datasets['train']) == 5
    assert iters_per_epoch(cfg, None) is None


def test_what_is_wrong_with_them(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    cfg.train_dataloader.dataset.pipeline[1] = dict(type='LoadAnnotations')
    cfg.val_dataloader.dataset = cfg.train_dataloader.dataset
    (tmp_path / 'toy/val/masks/00.png').unlink()
    datasets, findings = build_datasets(cfg)
    assert set(datasets) == {'train', 'val'}
    assert [f.level for f in findings] == ['error'] and '00' in findings[0].message
    found = examine_data(cfg, datasets)
    assert [f.level for f in found] == ['error', 'error']  # same_images says the rest
