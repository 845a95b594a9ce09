import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import label

from mmaslp import DemoNucleiDataset
from mmaslp.files.images import read_binary_mask
from mmaslp.files.layouts import NUCLEI

SPLITS = ('train', 'val', 'test', 'empty')


@pytest.mark.parametrize('split', SPLITS)
def test_a_split_has_every_kind_of_image(split):
    dataset = DemoNucleiDataset(split)
    side = 96 if split == 'empty' else 256
    kinds = set()

    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        mask = read_binary_mask(info['seg_map_path'])
        assert mask.shape == (side, side)
        assert Image.open(info['img_path']).size == (side, side)
        assert mask.any() == (split != 'empty')
        kinds.add(info['img_path'].split('/')[-1].split('_')[0])
    assert kinds == {'stained', 'fluorescent', 'smear'}


def test_the_images_of_a_kind():
    names = [sample['img_path'] for sample in DemoNucleiDataset('val', kind='smear')]
    assert len(names) == 3
    assert all('/smear_' in name for name in names)
    with pytest.raises(ValueError, match="fluorescent, smear, not 'blood'"):
        DemoNucleiDataset(kind='blood')


def test_no_image_is_in_two_splits():
    names = [path.name for path in NUCLEI.glob('*/images/*')]
    assert len(names) == len(set(names)) == 170


def test_images_have_many_objects():
    masks = [read_binary_mask(path) for path in (NUCLEI / 'test' / 'masks').iterdir()]
    assert np.median([label(mask)[1] for mask in masks]) > 15


def test_the_data_are_small():
    assert sum(path.stat().st_size for path in NUCLEI.rglob('*.*')) < 1.5e6
    assert 'CC0' in (NUCLEI / 'README.md').read_text()
