"""What the doctor and `prepare` say of images without an object."""

import numpy as np
import pytest
from PIL import Image

from mmaslp.commands import main
from mmaslp.integrations.mmseg.checks.run import mask_values
from mmaslp.integrations.mmseg.checks.settings import check_settings


def said(toy, tmp_path, pipeline=()):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[])
    cfg.train_dataloader.dataset.pipeline[2:2] = list(pipeline)
    return '\n'.join(map(str, check_settings(cfg)))


def test_object_free_windows_are_proposed(toy, tmp_path):
    crop = dict(type='ObjectFreeCrop')
    assert "dict(type='ObjectFreeCrop')" in said(toy, tmp_path)
    assert 'contain an object' not in said(toy, tmp_path, [crop])


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


def test_a_scan_ends_at_the_first_object():
    assert mask_values(Leaf([[0, 255], [0, 0]]), most=9) == {0, 255}
    some = Leaf([[0, 1]] * 50)
    assert mask_values(some, most=50) == {0, 1}
    assert some.read == 1
    none = Leaf([[0, 0]] * 50)
    assert mask_values(none, most=40) == {0}
    assert none.read == 40


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
    expected = '2 of 10 images contain no' if empty else 'all 10 images contain an'
    assert expected in printed
