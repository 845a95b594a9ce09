import multiprocessing
import subprocess
import sys
import time

import pytest
import torch

from mmaslp.integrations.mmseg.training import locked, prepare_training, run_training


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
    cfg.launcher = 'none'
    with locked(cfg), pytest.raises(ValueError, match='another training runs in'):
        run_training(cfg)
    assert not [*(tmp_path / 'run').iterdir()]
    run_training(cfg)
    assert (tmp_path / 'run' / 'last_checkpoint').is_file()


def test_workers_that_have_not_ended_hold_no_lock(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    fork = multiprocessing.get_context('fork')
    with locked(cfg):
        worker = fork.Process(target=time.sleep, args=[9])
        worker.start()
    with locked(cfg):
        pass
    worker.kill()


def test_processes_of_a_launcher_share_the_lock(toy, tmp_path):
    cfg, alone = toy.config(tmp_path / 'run'), toy.config(tmp_path / 'run')
    cfg.launcher, alone.launcher = 'pytorch', 'none'
    with (
        locked(cfg),
        locked(cfg),
        pytest.raises(ValueError, match='another training'),
        locked(alone),
    ):
        pass
    with pytest.raises(BlockingIOError, match='of the training itself'), locked(alone):
        raise BlockingIOError('of the training itself')


def test_windows_has_no_fcntl():
    code = (
        "import sys; sys.modules['fcntl'] = None; "
        'import mmaslp.integrations.mmseg.training'
    )
    subprocess.run([sys.executable, '-c', code], check=True)
