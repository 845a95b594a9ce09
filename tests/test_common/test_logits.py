import pytest
import torch

from mmaslp.common.arrays import split_labels


@pytest.mark.parametrize('ignore_index', [255, -1, 2])
def test_ignored_pixels(ignore_index):
    labels = torch.tensor([1, ignore_index, 1])
    values, valid = split_labels(labels, ignore_index)
    assert values.tolist() == [1.0, 0.0, 1.0]
    assert valid.tolist() == [True, False, True]
    assert labels.tolist() == [1, ignore_index, 1]


@pytest.mark.parametrize('labels', [[0, 2], [0.5, 1.0], [-1, 1], [0, 255, 254]])
def test_other_values(labels):
    with pytest.raises(ValueError, match='only 0, 1 and ignore_index=255 are allowed'):
        split_labels(torch.tensor(labels), 255)
