import multiprocessing
import shutil
import time

import pytest
import torch

from mmaslp.integrations.mmseg import checkpoint, training
from mmaslp.integrations.mmseg.training import locked, prepare_training, run_training


def test_resuming_checks_the_latest_checkpoint(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    with pytest.warns(UserWarning, match='run has no checkpoint to resume from'):
        prepare_training(cfg, resume=True)
    cfg.resume = False
    prepare_training(cfg).train()
    with pytest.raises(ValueError, match='`amp` needs an optim_wrapper'):
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


def test_windows_trains_without_a_lock(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(training, 'fcntl', None)
    with locked(toy.config(tmp_path / 'run')):
        assert (tmp_path / 'run').is_dir()


def best_of(cfg):
    """The config with a best checkpoint, two epochs and a calibrator."""
    cfg.default_hooks.checkpoint.update(
        interval=1, save_best='calib/nll', rule='less', max_keep_ckpts=2
    )
    cfg.custom_hooks.append(dict(type='CalibratorHook'))
    return cfg


@pytest.mark.parametrize('way', ['copied', 'continued'])
def test_the_training_that_another_one_goes_on_from_stays(toy, tmp_path, way):
    first = tmp_path / 'first'
    run_training(best_of(toy.config(first)))
    before = {path.name: path.read_bytes() for path in first.glob('*.pth')}
    assert any(name.startswith('best_') for name in before)

    second = best_of(toy.config(tmp_path / 'second'))
    if way == 'copied':
        shutil.copytree(first, tmp_path / 'second')
    else:
        second.load_from = str(first / 'epoch_3.pth')
    second.train_cfg.max_epochs = 5
    run_training(second, resume=True)
    after = {path.name: path.read_bytes() for path in first.glob('*.pth')}
    assert after == before
    assert (tmp_path / 'second' / 'epoch_5.pth').is_file()


def test_nothing_left_to_train_is_said(toy, tmp_path, caplog):
    first = best_of(toy.config(tmp_path / 'first'))
    run_training(first)
    before = {path: path.read_bytes() for path in (tmp_path / 'first').glob('*.pth')}
    other = best_of(toy.config(tmp_path / 'other'))
    other.load_from = str(tmp_path / 'first' / 'epoch_3.pth')
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, 'print_log', lambda text, *_: said.append(text))
        run_training(other, resume=True)
    assert 'nothing is left to train' in said[0]
    assert {path: path.read_bytes() for path in before} == before


def test_a_training_from_weights_goes_on_from_its_own_checkpoint(toy, tmp_path):
    run_training(toy.config(tmp_path / 'weights'))
    cfg = toy.config(tmp_path / 'run')
    cfg.load_from = str(tmp_path / 'weights' / 'epoch_3.pth')
    run_training(cfg)
    again = toy.config(tmp_path / 'run')
    again.load_from = str(tmp_path / 'weights' / 'epoch_3.pth')
    again.train_cfg.max_epochs = 4
    runner = run_training(again, resume=True)
    assert runner.epoch == 4
    assert again.load_from == str(tmp_path / 'run' / 'epoch_3.pth')


def test_a_lone_checkpoint_stays_until_the_first_of_the_new_training(toy, tmp_path):
    (tmp_path / 'run').mkdir()
    lone = tmp_path / 'run' / 'epoch_30.pth'
    lone.write_bytes(b'of another training')
    cfg = toy.config(tmp_path / 'run')
    runner = prepare_training(cfg, overwrite=True)
    assert lone.is_file()
    runner.train()
    assert not lone.exists()
    assert (tmp_path / 'run' / 'epoch_3.pth').is_file()
