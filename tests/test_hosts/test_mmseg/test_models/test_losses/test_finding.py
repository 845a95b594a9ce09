import torch
from mmengine.model import MMDistributedDataParallel
from mmseg.registry import MODELS

from mmaslp.hosts.mmseg.losses import SCBCELoss
from mmaslp.hosts.mmseg.losses.finding import find_losses, unwrap


class Head(torch.nn.Module):
    def __init__(self, *losses):
        super().__init__()
        self.loss_decode = torch.nn.ModuleList(losses)
        self.layer = torch.nn.Linear(1, 1)


def model():
    parts = dict(
        decode_head=Head(SCBCELoss(), torch.nn.BCEWithLogitsLoss()),
        auxiliary_head=Head(SCBCELoss('M')),
    )
    return torch.nn.ModuleDict(parts)


def test_losses_of_all_heads_and_no_others():
    assert [loss.perturbation.name for loss in find_losses(model())] == ['HI', 'M']
    assert find_losses(torch.nn.Linear(1, 1)) == []


def test_subclasses_that_others_register_are_found():
    @MODELS.register_module(force=True)
    class OwnSCBCE(SCBCELoss):
        pass

    assert len(find_losses(Head(OwnSCBCE()))) == 1


def test_wrapped_models(tmp_path):
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/group', rank=0, world_size=1
    )
    try:
        inner = model()
        wrapped = MMDistributedDataParallel(module=inner)
        assert unwrap(wrapped) is inner and unwrap(inner) is inner
        assert len(find_losses(wrapped)) == 2
    finally:
        torch.distributed.destroy_process_group()
