"""The levels move under every way of training that the host offers."""

import csv

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner import Runner

from mmaslp.hosts.mmseg.hooks import ASLPHook


def train(cfg):
    """Train; return the levels by file name, and the runner."""
    runner = Runner.from_cfg(cfg)
    runner.train()
    bank = next(h for h in runner.hooks if isinstance(h, ASLPHook)).levels.bank
    names = [name.rsplit('/', 1)[-1] for name in bank.ids]
    return dict(zip(names, bank.alpha.tolist())), runner


@OPTIM_WRAPPERS.register_module()
class CPUAutocast(OptimWrapper):
    """bfloat16 on the CPU; the host's AmpOptimWrapper asserts an accelerator."""

    def optim_context(self, model):
        return torch.autocast('cpu', dtype=torch.bfloat16)


@pytest.mark.parametrize('channels', [1, 2])
def test_bf16_autocast(toy, tmp_path, channels):
    plain, _ = train(toy.config(tmp_path / 'plain', channels=channels))
    cfg = toy.config(tmp_path / 'half', channels=channels)
    cfg.optim_wrapper.type = 'CPUAutocast'
    runner = Runner.from_cfg(cfg)
    seen = []
    head = runner.model.decode_head
    head.loss_decode.register_forward_pre_hook(
        lambda module, args: seen.append(args[0].dtype)
    )
    runner.train()
    assert {*seen} == {torch.bfloat16}
    bank = next(h for h in runner.hooks if isinstance(h, ASLPHook)).levels.bank
    half = dict(zip((n.rsplit('/', 1)[-1] for n in bank.ids), bank.alpha.tolist()))
    assert min(half.values()) > 0
    assert half == pytest.approx(plain, rel=0.05)
    assert half != plain


@pytest.mark.gpu
def test_compiled_by_inductor(toy, tmp_path):
    plain, _ = train(toy.config(tmp_path / 'plain'))
    compiled, _ = train(toy.config(tmp_path / 'compiled', compile=True))
    assert compiled == pytest.approx(plain, rel=1e-2)


def test_early_stopping_writes_the_table(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', train_cfg=dict(max_epochs=20))
    cfg.custom_hooks.append(
        dict(
            type='EarlyStoppingHook',
            monitor='calib/ece',
            rule='less',
            min_delta=10.0,  # nothing is an improvement
            patience=2,
        )
    )
    levels, runner = train(cfg)
    assert 2 <= runner.epoch <= 4
    with open(tmp_path / 'run' / 'alpha.csv', newline='') as file:
        table = {r['img_path'].rsplit('/', 1)[-1]: r for r in csv.DictReader(file)}
    for name, level in levels.items():
        assert float(table[name]['alpha']) == pytest.approx(level, abs=1e-6)
