"""Listing the images of wrapped datasets, and of a batch."""

from types import SimpleNamespace

import pytest

from mmaslp.hosts.mmseg.datasets.listing import (
    batch_ids,
    image_ids,
    leaf_datasets,
)


class Leaf:
    def __init__(self, *infos):
        self.infos = infos

    def __len__(self):
        return len(self.infos)

    def get_data_info(self, i):
        return self.infos[i]


class Wrapper:
    def __init__(self, **held):
        vars(self).update(held)


def test_leaves_of_wrappers_in_order():
    first, second = Leaf(dict(img_path='a')), Leaf(dict(img_path='b'))
    dataset = Wrapper(datasets=[Wrapper(dataset=first), second, first])
    assert [*leaf_datasets(dataset)] == [first, second, first]
    assert [*image_ids(dataset)] == ['a', 'b', 'a']
    assert [*leaf_datasets(first)] == [first]


def test_datasets_that_do_not_name_their_images():
    with pytest.raises(ValueError, match=r'object has no get_data_info'):
        [*image_ids(Wrapper(dataset=object()))]
    with pytest.raises(ValueError, match=r"'img_path', which Leaf does not give"):
        [*image_ids(Leaf(dict(path='a')))]


def test_images_of_a_batch():
    samples = [SimpleNamespace(img_path='a'), SimpleNamespace(img_path='b')]
    assert batch_ids(dict(data_samples=samples)) == ['a', 'b']
    for batch in (None, dict(), dict(data_samples=samples[0])):
        with pytest.raises(ValueError, match=r"data_batch\['data_samples'\], a list"):
            batch_ids(batch)
    with pytest.raises(ValueError, match="'img_path' in the meta_keys"):
        batch_ids(dict(data_samples=[SimpleNamespace()]))
