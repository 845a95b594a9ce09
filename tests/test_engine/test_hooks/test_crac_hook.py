from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import Runner

from mmaslp.engine.hooks import CRaCHook
from mmaslp.losses import CRaCLoss


def crac_config(toy, work_dir, **options):
    cfg = toy.config(work_dir, **options)
    cfg.custom_hooks = [dict(type='CRaCHook')]
    cfg.train_cfg.max_epochs = 2
    cfg.model.decode_head.loss_decode = dict(type='CRaCLoss', rho_interval=1)
    return cfg


def test_multipliers_follow_each_validation(toy, tmp_path):
    cfg = crac_config(toy, tmp_path / 'run', auxiliary=True)
    cfg.model.auxiliary_head.loss_decode = cfg.model.decode_head.loss_decode
    runner = Runner.from_cfg(cfg)
    runner.train()
    loss = runner.model.decode_head.loss_decode
    other = runner.model.auxiliary_head.loss_decode
    assert loss._updates == 2 and (loss.lam > 1e-6).all()
    assert torch.equal(loss.lam, other.lam)
    before = loss.lam.clone()
    runner.val()  # after the training: measures only
    assert torch.equal(loss.lam, before)
    saved = torch.load(
        tmp_path / 'run' / 'epoch_2.pth', map_location='cpu', weights_only=False
    )['state_dict']
    # Written before the validation of the second epoch.
    assert saved['decode_head.loss_decode._updates'] == 1
    assert (saved['decode_head.loss_decode.lam'] < before).all()


@pytest.mark.parametrize('channels', [1, 2])
def test_logits_are_those_of_the_prediction(channels):
    scores = 4 * torch.randn(channels, 6, 7, generator=torch.Generator().manual_seed(0))
    label = (torch.arange(42).view(1, 6, 7) % 5 == 0).long()
    hook, expected = CRaCHook(), CRaCLoss()
    model = torch.nn.ModuleList([CRaCLoss()])
    hook.before_train(SimpleNamespace(model=model, val_loop=object()))
    shown = scores.sigmoid() if channels == 1 else scores
    sample = SimpleNamespace(
        seg_logits=SimpleNamespace(data=shown), gt_sem_seg=SimpleNamespace(data=label)
    )
    hook.after_val_iter(None, 0, outputs=[sample, sample])
    hook.after_val_epoch(None)
    expected.observe(scores[None], label)
    expected.update_multipliers()
    torch.testing.assert_close(model[0].lam, expected.lam, rtol=1e-4, atol=0)


def test_certain_probabilities_have_finite_logits():
    hook, model = CRaCHook(), torch.nn.ModuleList([CRaCLoss()])
    hook.before_train(SimpleNamespace(model=model, val_loop=object()))
    label = torch.tensor([[[0, 1]]])
    sample = SimpleNamespace(
        seg_logits=SimpleNamespace(data=label.float()),
        gt_sem_seg=SimpleNamespace(data=label),
    )
    hook.after_val_iter(None, 0, outputs=[sample])
    hook.after_val_epoch(None)
    assert (model[0].lam[0] > 0.5).all() and model[0].lam.isfinite().all()


def test_refusals(toy, tmp_path):
    with pytest.raises(ValueError, match='found no CRaCLoss in the model'):
        CRaCHook().before_train(SimpleNamespace(model=torch.nn.Identity()))
    cfg = crac_config(toy, tmp_path)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    with pytest.raises(ValueError, match='CRaCHook needs validations: set val_cfg'):
        Runner.from_cfg(cfg).train()
