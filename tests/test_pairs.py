import doctest

import numpy as np
import pytest
import torch
from PIL import Image

from examples import pairs as module
from examples.pairs import BinaryPairs, load_splits


def write(folder, names, masks=None):
    rng = np.random.default_rng(0)
    for kind in ('images', 'masks'):
        (folder / kind).mkdir(parents=True)
    for name in names:
        image = rng.integers(0, 255, (20, 30, 3), np.uint8)
        Image.fromarray(image).save(folder / 'images' / f'{name}.jpg')
    for name in names if masks is None else masks:
        mask = np.zeros((20, 30), np.uint8)
        mask[5:15, 6:24] = 255
        Image.fromarray(mask).save(folder / 'masks' / f'{name}.png')


def test_a_folder(tmp_path):
    for split in ('train', 'val', 'test'):
        write(tmp_path / split, ['b', 'a'])
    data = load_splits(tmp_path, size=16)
    assert list(data) == ['train', 'val', 'test']
    assert data['val'].names == ['val/a', 'val/b']
    item = data['train'][1]
    assert item['image'].shape == (3, 16, 16)
    assert item['image'].dtype == torch.float32
    assert item['image'].min() >= -1
    assert item['image'].max() <= 1
    assert item['mask'].unique().tolist() == [0, 1]
    assert item['mask'].mean() == pytest.approx(0.3, abs=0.07)


def test_a_folder_without_images(tmp_path):
    with pytest.raises(ValueError, match='images holds no image: give a folder'):
        BinaryPairs.from_folder(tmp_path)


def test_examples():
    found = doctest.testmod(module)
    assert found.attempted > 1
    assert not found.failed
