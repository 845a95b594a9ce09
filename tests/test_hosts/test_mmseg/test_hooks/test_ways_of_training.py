"""The levels move under every way of training that the host offers."""

import csv

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner import Runner
from mmseg.registry import DATASETS

from mmaslp.hosts.mmseg.datasets import SODDataset
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


def test_activation_checkpointing_of_the_backbone(toy, tmp_path):
    plain, _ = train(toy.config(tmp_path / 'plain'))
    cfg = toy.config(tmp_path / 'checkpointing')
    cfg.model.backbone.with_cp = True
    saving, _ = train(cfg)
    assert min(saving.values()) > 0
    assert saving == pytest.approx(plain, abs=1e-6)


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


@DATASETS.register_module()
class CategorySODDataset(SODDataset):
    """Says which categories an image has: the first one has a rare one."""

    def get_cat_ids(self, idx):
        return [0, 1] if idx == 0 else [0]


def test_class_balanced_dataset(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    inner = {**cfg.train_dataloader.dataset, 'type': 'CategorySODDataset'}
    cfg.train_dataloader.dataset = dict(
        type='ClassBalancedDataset', dataset=inner, oversample_thr=0.9
    )
    levels, runner = train(cfg)
    assert len(runner.train_dataloader.dataset) > len(levels) == 10
    assert min(levels.values()) > 0
