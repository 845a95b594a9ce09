import numpy as np
import pytest
from PIL import Image

from mmaslp.files.masks import read_binary_mask
from mmaslp.hosts.mmseg.datasets import SODDataset


@pytest.mark.parametrize(
    ('name', 'split', 'count'),
    [
        ('ccp_person', 'val', 100),
        ('dsb2018_nuclei', 'val', 67),
        ('sd_saliency_900', 'val', 90),
        ('dtd_ood', 'test', 150),
    ],
)
def test_real_sets(shared, name, split, count):
    dataset = SODDataset(str(shared / 'data' / name), split=split)
    assert len(dataset) == count
    for i in range(0, count, 10):
        info = dataset.get_data_info(i)
        mask = read_binary_mask(info['seg_map_path'])
        assert mask.shape == Image.open(info['img_path']).size[::-1]
        grey = np.asarray(Image.open(info['seg_map_path']))
        np.testing.assert_array_equal(mask, grey > 127)
