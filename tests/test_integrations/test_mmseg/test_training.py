import subprocess
import sys

import pytest
import torch

from mmaslp.integrations.mmseg.training import locked, prepare_training


def test_resuming_checks_the_latest_checkpoint(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    prepare_training(cfg).train()
    with pytest.raises(ValueError, match='--amp needs an optim_wrapper'):
        cfg.optim_wrapper.type = 'ApexOptimWrapper'
        prepare_training(cfg, amp=True)
    cfg.optim_wrapper.type = 'OptimWrapper'
    latest = tmp_path / 'run' / 'epoch_3.pth'
    assert prepare_training(cfg, resume=True)._resume
    latest.write_bytes(latest.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r'epoch_3.pth is damaged'):
        prepare_training(cfg, resume=True)
    cfg.load_from = str(tmp_path / 'run' / 'epoch_2.pth')
    runner = prepare_training(cfg, resume=True)
    runner.load_or_resume()
    assert runner.epoch == 2
    assert torch.isfinite(
        torch.cat([p.flatten() for p in runner.model.parameters()])
    ).all()


def test_trainings_of_one_process_write_their_own_scalars(toy, tmp_path):
    for name in ('a', 'b'):
        cfg = toy.config(tmp_path / name)
        backends = [dict(type='LocalVisBackend')]
        cfg.visualizer = dict(
            type='SegLocalVisualizer', vis_backends=backends, name='visualizer'
        )
        prepare_training(cfg).train()
        assert len([*(tmp_path / name).rglob('scalars.json')]) == 1


def test_two_trainings_at_once_are_refused(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    with locked(cfg):
        other = subprocess.run(
            [sys.executable, '-c', OTHER, cfg.work_dir], capture_output=True, text=True
        )
    assert f'another training runs in {cfg.work_dir}' in other.stderr
    assert not [*(tmp_path / 'run').iterdir()]
    with locked(cfg):  # the first one let go of it
        pass


OTHER = """
import sys
from mmaslp.integrations.mmseg.training import locked

with locked(type('', (dict,), {'work_dir': sys.argv[1]})()):
    raise SystemExit('not refused')
"""
