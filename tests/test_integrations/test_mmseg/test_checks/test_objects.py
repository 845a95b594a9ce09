"""What the doctor says of training sets in which every image has an object."""

import numpy as np
import pytest
from PIL import Image

from mmaslp.commands import main
from mmaslp.integrations.mmseg.checks.data import every_image_has_an_object
from mmaslp.integrations.mmseg.doctor import build_and_check


def said(toy, tmp_path, pipeline=()):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[])
    cfg.train_dataloader.dataset.pipeline[2:2] = list(pipeline)
    return '\n'.join(map(str, build_and_check(cfg, str(tmp_path / 'work'))))


def masks_of(toy):
    return sorted((toy.root / 'train' / 'masks').iterdir())


def test_every_image_has_one(toy, tmp_path):
    found = said(toy, tmp_path)
    assert 'all 10 training images hold an object' in found
    assert "dict(type='ObjectFreeCrop')" in found


def test_an_image_has_none(toy, tmp_path):
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(masks_of(toy)[3])
    assert 'hold an object' not in said(toy, tmp_path)


@pytest.mark.parametrize('empty', [False, True])
def test_borders_that_are_ignored_are_no_objects(empty):
    class Leaf:
        def __init__(self):
            self.pipeline = [LoadAnnotations()]

        def __len__(self):
            return 4

        def get_data_info(self, index):
            return dict(index=index)

    class LoadAnnotations:
        def __call__(self, results):
            label = np.zeros((8, 8), np.uint8)
            label[0] = 255
            if results['index'] or not empty:
                label[4, 4] = 1
            return dict(results, gt_seg_map=label)

    found = [*every_image_has_an_object(Leaf())]
    assert len(found) == (not empty)


def test_a_crop_shows_parts(toy, tmp_path):
    assert 'hold an object' not in said(toy, tmp_path, [dict(type='ObjectFreeCrop')])


@pytest.mark.parametrize('empty', [0, 2])
def test_prepare_counts_images_without_one(tmp_path, capsys, empty):
    for kind in ('images', 'masks'):
        (tmp_path / kind).mkdir()
    for k in range(10):
        mask = np.zeros((8, 8), np.uint8)
        mask[2:5, 2:5] = 0 if k < empty else 255
        Image.fromarray(mask).save(tmp_path / 'masks' / f'{k}.png')
        Image.new('RGB', (8, 8)).save(tmp_path / 'images' / f'{k}.png')
    assert main(['prepare', str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    expected = '2 of 10 images hold no' if empty else 'all 10 images hold an object'
    assert expected in printed
