"""Listing the images of wrapped datasets."""

from types import SimpleNamespace

import pytest

from mmaslp.integrations.mmseg.data import data_files, image_ids


class Leaf:
    def __init__(self, *infos):
        self.infos = infos

    def __len__(self):
        return len(self.infos)

    def get_data_info(self, i):
        return self.infos[i]


def test_images_of_wrappers_in_order():
    first = Leaf(dict(img_path='a/x', seg_map_path='b/x'))
    second = Leaf(dict(img_path='a/y', seg_map_path=None), dict(img_path='c/z'))
    inner = SimpleNamespace(dataset=first)
    dataset = SimpleNamespace(datasets=[inner, second, first])
    assert [*image_ids(dataset)] == ['a/x', 'a/y', 'c/z', 'a/x']
    assert [*data_files(dataset)] == ['a/x', 'b/x', 'a/y', 'c/z', 'a/x', 'b/x']
    assert not [*data_files(object())]
    for bad in (object(), Leaf(dict(path='a'))):
        with pytest.raises(ValueError, match=r"'img_path', which .* does not give"):
            [*image_ids(SimpleNamespace(dataset=bad))]
