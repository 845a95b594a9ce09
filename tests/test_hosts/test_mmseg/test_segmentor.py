"""Finding a segmentor in its wrappers, and standing in for its methods."""

import pytest
import torch
from mmengine.model import BaseTTAModel
from mmengine.runner import Runner
from torch import nn

from mmaslp.hosts.mmseg.segmentor import check_binary, find_segmentor, replaced


class Wrapper(BaseTTAModel):
    def __init__(self, module):
        nn.Module.__init__(self)
        self.module = module

    def merge_preds(self, data_samples_list):
        return data_samples_list


def test_segmentor_and_its_wrapper(toy, tmp_path):
    segmentor = Runner.from_cfg(toy.config(tmp_path)).model
    assert find_segmentor(segmentor) == (segmentor, None)
    wrapper = Wrapper(segmentor)
    assert find_segmentor(wrapper) == (segmentor, wrapper)


def test_what_a_temperature_cannot_divide(toy, tmp_path):
    segmentor = Runner.from_cfg(toy.config(tmp_path)).model
    head = segmentor.decode_head
    head.__class__ = type('MaskFormerHead', (type(head),), {})
    with pytest.raises(ValueError, match=r'MaskFormerHead gives no .*decode_head ='):
        find_segmentor(segmentor)
    with pytest.raises(ValueError, match='Linear has no postprocess_result'):
        find_segmentor(nn.Linear(1, 1))
    check_binary(torch.zeros(1, 2, 4, 4))
    with pytest.raises(ValueError, match='gives 3 channels'):
        check_binary(torch.zeros(1, 3, 4, 4))


class Owner:
    def method(self):
        return 'own'


@pytest.mark.parametrize('before', [None, lambda: 'replaced before'])
def test_replaced_until_the_end(before):
    owner = Owner()
    if before is not None:
        owner.method = before
    expected = owner.method()
    with pytest.raises(KeyError), replaced(owner, 'method', lambda: 'stand-in'):
        assert owner.method() == 'stand-in'
        raise KeyError
    assert owner.method() == expected
    assert ('method' in vars(owner)) is (before is not None)
