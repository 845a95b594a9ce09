"""The levels move under every way of training that the host offers."""

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner import Runner

from mmaslp import ASLPHook


def train(cfg):
    """Train; return the levels by file name."""
    runner = Runner.from_cfg(cfg)
    runner.train()
    levels = next(h for h in runner.hooks if isinstance(h, ASLPHook)).levels.levels
    return {name.rsplit('/', 1)[-1]: level for name, level in levels.items()}


@OPTIM_WRAPPERS.register_module()
class CPUAutocast(OptimWrapper):
    """bfloat16 on the CPU; the host's AmpOptimWrapper asserts an accelerator."""

    def optim_context(self, model):
        return torch.autocast('cpu', dtype=torch.bfloat16)


def test_bf16_autocast(toy, tmp_path):
    plain = train(toy.config(tmp_path / 'plain', channels=2))
    cfg = toy.config(tmp_path / 'half', channels=2)
    cfg.optim_wrapper.type = 'CPUAutocast'
    half = train(cfg)
    assert min(half.values()) > 0
    assert half == pytest.approx(plain, rel=0.05)
    assert half != plain


@pytest.mark.gpu
def test_compiled_by_inductor(toy, tmp_path):
    plain = train(toy.config(tmp_path / 'plain'))
    compiled = train(toy.config(tmp_path / 'compiled', compile=True))
    assert compiled == pytest.approx(plain, rel=1e-2)
