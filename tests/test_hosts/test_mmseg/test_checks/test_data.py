"""What is found in the data of a config."""

import pytest

from mmaslp.hosts.mmseg.checks import data
from mmaslp.hosts.mmseg.checks.config import check_config


def set_train(**values):
    return lambda cfg: cfg.train_dataloader.dataset.update(values)


def host_loader(cfg):
    pipeline = cfg.val_dataloader.dataset.pipeline
    pipeline[1] = dict(type='mmseg.LoadAnnotations')


@pytest.mark.parametrize(
    ('change', 'level', 'words', 'remedy'),
    [
        (
            set_train(reduce_zero_label=True),
            'error',
            'background',
            'train_dataloader.dataset.reduce_zero_label = False',
        ),
        (host_loader, 'warning', 'val_dataloader', 'LoadBinaryAnnotations'),
    ],
)
def test_masks_that_are_read_in_another_way(
    toy, tmp_path, change, level, words, remedy
):
    cfg = toy.config(tmp_path)
    change(cfg)
    findings = [f for f in check_config(cfg) if 'acc_seg' not in f.message]
    assert {level} == {finding.level for finding in findings}
    assert any(words in f.message and remedy in f.remedy for f in findings)


def test_folders_that_are_not_there(toy, tmp_path):
    cfg = toy.config(tmp_path)
    assert [*data.missing_data(cfg)] == []
    cfg.val_dataloader.dataset.data_root = 'nowhere'
    cfg.train_dataloader.dataset = dict(
        type='ConcatDataset', datasets=[dict(data_root='http://a'), dict(data_root='b')]
    )
    messages = [
        f'{finding.message}: {finding.remedy}' for finding in data.missing_data(cfg)
    ]
    assert messages == [
        'no folder b here: train_dataloader.dataset.datasets[1].data_root, '
        'or make the data',
        'no folder nowhere here: val_dataloader.dataset.data_root, or make the data',
    ]


def test_images_of_the_test_set(toy, tmp_path):
    cfg = toy.config(tmp_path)
    assert data.same_images(cfg, 'val', 'test')
    cfg.test_dataloader.dataset.data_root += '/'
    cfg.test_dataloader.dataset.pipeline = []
    assert data.same_images(cfg, 'val', 'test')
    cfg.test_dataloader.dataset.indices = [0]
    assert not data.same_images(cfg, 'val', 'test')
    cfg.val_dataloader = cfg.test_dataloader = None
    assert not data.same_images(cfg, 'val', 'test')
