"""A training on a disk that fills up: the earlier checkpoints or the new are whole."""

import errno
import os
import re
from pathlib import Path

import pytest
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmaslp.integrations.mmseg.checkpoint import load_safely
from mmaslp.integrations.mmseg.saving import PARTS
from mmaslp.integrations.mmseg.training import run_training


def full_after(monkeypatch, room):
    """Let the disk take ``room`` bytes of checkpoints more."""
    left = [room]

    def put(self, content, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.write(content[: left[0]])
        left[0] -= len(content)
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(LocalBackend, 'put', put)


def without_hooks(cfg, **checkpoint):
    cfg.custom_hooks = []
    cfg.default_hooks.checkpoint.update(checkpoint)
    return cfg


def checkpoints(folder):
    """The epochs of all checkpoints of a folder, each of which is whole."""
    return {p.name: load_safely(str(p))['meta']['epoch'] for p in folder.glob('*.pth')}


def files(folder):
    """Contents by name, without configs that MMEngine names by the second."""
    return {
        path.name: path.read_bytes()
        for path in folder.glob('*')
        if path.is_file() and not re.fullmatch(r'\d{8}_\d{6}\.py', path.name)
    }


@pytest.mark.parametrize('room', [0, 1, 1000])
def test_the_earlier_training_stays_where_the_new_one_cannot_save(
    toy, tmp_path, monkeypatch, room
):
    run = tmp_path / 'run'
    run_training(without_hooks(toy.config(run)))
    before = files(run)
    full_after(monkeypatch, room)
    with pytest.raises(OSError, match=r'cannot be written .*run/epoch_1\.pth'):
        run_training(without_hooks(toy.config(run)), overwrite=True)
    after = files(run)
    assert before.items() <= after.items()
    assert not (run / PARTS).exists()


def test_the_only_checkpoint_stays_where_its_successor_cannot_be_saved(
    toy, tmp_path, monkeypatch
):
    run = tmp_path / 'run'
    keep = dict(max_keep_ckpts=1, save_best='calib/nll', rule='less')
    run_training(without_hooks(toy.config(run), **keep))
    before = files(run)
    assert checkpoints(run).keys() >= {'epoch_3.pth'}
    cfg = without_hooks(toy.config(run), **keep)
    cfg.train_cfg.max_epochs = 5
    full_after(monkeypatch, 1000)
    with pytest.raises(OSError, match=r'epoch_4\.pth'):
        run_training(cfg, resume=True)
    assert before.items() <= files(run).items()


def test_a_name_of_the_last_checkpoint_that_cannot_be_written(
    toy, tmp_path, monkeypatch
):
    run = tmp_path / 'run'
    run_training(without_hooks(toy.config(run)))
    before = files(run)

    save = Runner.save_checkpoint

    def save_and_fill(self, out_dir, *args, **options):
        save(self, out_dir, *args, **options)
        Path(out_dir, 'last_checkpoint').symlink_to('/dev/full')

    monkeypatch.setattr(Runner, 'save_checkpoint', save_and_fill)
    with pytest.raises(OSError, match='last_checkpoint'):
        run_training(without_hooks(toy.config(run)), overwrite=True)
    assert before.items() <= files(run).items()


def test_a_checkpoint_is_replaced_after_it_is_saved(toy, tmp_path):
    run = tmp_path / 'run'
    keep = dict(max_keep_ckpts=1, save_best='calib/nll', rule='less')
    run_training(without_hooks(toy.config(run), **keep))
    names = checkpoints(run)
    assert sum(name.startswith('epoch_') for name in names) == 1
    assert sum(name.startswith('best_') for name in names) == 1
    assert (run / 'last_checkpoint').read_text() == str(run / 'epoch_3.pth')
    (run / 'epoch_30.pth').write_bytes(b'of an earlier training')
    run_training(without_hooks(toy.config(run)), overwrite=True)
    assert checkpoints(run) == {f'epoch_{n}.pth': n for n in (1, 2, 3)}


def test_what_a_killed_process_left_is_no_checkpoint(toy, tmp_path):
    run = tmp_path / 'run'
    (run / PARTS).mkdir(parents=True)
    (run / PARTS / 'epoch_9.pth').write_bytes(b'cut')
    run_training(without_hooks(toy.config(run)))
    assert checkpoints(run).keys() == {f'epoch_{n}.pth' for n in (1, 2, 3)}
    assert not (run / PARTS).exists()


def test_checkpoints_in_another_folder_and_of_another_class(toy, tmp_path):
    @HOOKS.register_module(force=True)
    class MyCheckpointHook(CheckpointHook):
        pass

    out = tmp_path / 'out'
    cfg = without_hooks(toy.config('run'), type='MyCheckpointHook', out_dir=str(out))
    runner = run_training(cfg)
    assert checkpoints(out / 'run').keys() == {f'epoch_{n}.pth' for n in (1, 2, 3)}
    assert Path('run/last_checkpoint').read_text() == str(out / 'run' / 'epoch_3.pth')
    assert any(isinstance(hook, MyCheckpointHook) for hook in runner.hooks)


def test_mmsegmentations_own_tool_saves_beside_with_a_calibrator(
    toy, tmp_path, monkeypatch
):
    run = tmp_path / 'run'
    cfg = toy.config(run)
    cfg.custom_hooks = [dict(type='CalibratorHook')]
    cfg.default_hooks.checkpoint.update(max_keep_ckpts=1)
    runner = Runner.from_cfg(cfg)
    save = Runner.save_checkpoint

    def save_once(self, *args, **options):
        save(self, *args, **options)
        full_after(monkeypatch, 1000)

    monkeypatch.setattr(Runner, 'save_checkpoint', save_once)
    with pytest.raises(OSError, match=r'epoch_2\.pth'):
        runner.train()
    assert checkpoints(run) == {'epoch_1.pth': 1}


def test_the_best_of_a_metric_that_nobody_measures(toy, tmp_path):
    cfg = without_hooks(toy.config(tmp_path / 'run'), save_best='calib/x', rule='less')
    with pytest.raises(ValueError, match=r"save_best='calib/x'.*calib/ece"):
        run_training(cfg)
