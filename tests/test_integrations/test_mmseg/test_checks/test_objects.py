"""What the doctor says of training sets in which every image has an object."""

import numpy as np
import pytest
from PIL import Image

from mmaslp.commands import main
from mmaslp.integrations.mmseg.checks.building import check_images
from mmaslp.integrations.mmseg.checks.data import scan_masks


def said(toy, tmp_path, pipeline=()):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[])
    cfg.train_dataloader.dataset.pipeline[2:2] = list(pipeline)
    return '\n'.join(map(str, check_images(cfg)))


def masks_of(toy):
    return sorted((toy.root / 'train' / 'masks').iterdir())


def test_every_image_has_one(toy, tmp_path):
    found = said(toy, tmp_path)
    assert 'all 10 training images hold an object' in found
    assert "dict(type='ObjectFreeCrop')" in found


def test_an_image_has_none(toy, tmp_path):
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(masks_of(toy)[3])
    assert 'hold an object' not in said(toy, tmp_path)


class Leaf:
    """A data set of masks that are given."""

    def __init__(self, labels):
        self.labels = labels
        self.pipeline = [LoadAnnotations()]
        self.read = 0

    def __len__(self):
        return len(self.labels)

    def get_data_info(self, index):
        self.read += 1
        return dict(label=self.labels[index])


class LoadAnnotations:
    def __call__(self, results):
        return dict(gt_seg_map=np.array(results['label'], np.uint8))


def test_a_scan_counts_what_masks_hold():
    scan = scan_masks(Leaf([[0, 255], [0, 0]]), enough=8, most=9)
    assert (scan.masks, scan.with_object, scan.with_ignored, scan.blank) == (2, 0, 1, 1)


def test_a_scan_ends_as_soon_as_it_knows():
    some = Leaf([[0, 1]] * 50)
    assert scan_masks(some, enough=8, most=50).masks == some.read == 8
    assert scan_masks(Leaf([[0, 1]] * 50), enough=99, most=40).with_object == 40
    mixed = Leaf([[0, 1], [0, 0]] * 25)
    assert scan_masks(mixed, enough=99, most=50).masks < 10
    assert scan_masks(Leaf([[0, 0]] * 50), enough=8, most=40).masks == 40


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
