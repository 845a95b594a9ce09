import os
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from mmaslp.integrations.mmseg.training import _latest, run_training
from mmaslp.integrations.mmseg.work_dir import (
    Takeover,
    earlier_training,
    files_taken_over,
)
from mmaslp.training.written import note_written, written_by_training


def test_what_a_training_leaves(tmp_path):
    assert earlier_training(str(tmp_path / 'nowhere')) == []
    names = ['best_calib_ece_epoch_1.pth', 'epoch_1.pth', 'iter_20.pth']
    names.append('last_checkpoint')
    for name in (*names, 'best_model.pth', 'epoch_x.pth', 'epoch_1.pth.bak'):
        (tmp_path / name).touch()
    assert earlier_training(str(tmp_path)) == [str(tmp_path / n) for n in names]
    os.remove(tmp_path / 'epoch_1.pth')
    (tmp_path / 'epoch_1.pth').mkdir()  # sharded
    (tmp_path / 'epoch_1.pth' / 'x').touch()
    takeover = Takeover(earlier_training(str(tmp_path)))
    (tmp_path / 'iter_20.pth').write_bytes(b'of the new training')
    takeover.run({str(tmp_path.resolve() / 'iter_20.pth')})
    left = ['best_model.pth', 'epoch_1.pth.bak', 'epoch_x.pth', 'iter_20.pth']
    assert sorted(os.listdir(tmp_path)) == left
    takeover.run(())
    assert sorted(os.listdir(tmp_path)) == left  # once only


def test_a_damaged_last_checkpoint_is_named(tmp_path):
    for damaged in (b'\xff\xfe', b'a\0b'):
        (tmp_path / 'last_checkpoint').write_bytes(damaged)
        with pytest.raises(ValueError, match='last_checkpoint: is not the path of a'):
            _latest(str(tmp_path))


def test_what_a_training_wrote_is_known_until_it_changes(tmp_path):
    file = tmp_path / 'a.csv'
    assert not written_by_training(file)
    file.write_text('1')
    assert not written_by_training(file)
    note_written(file)
    assert written_by_training(file)
    file.write_text('2')
    assert not written_by_training(file)
    (tmp_path / '.mmaslp_written.json').write_text('[')
    note_written(file)
    assert written_by_training(file)


def test_a_table_alone_is_no_training_if_a_training_wrote_it(tmp_path):
    table = tmp_path / 'alpha.csv'
    table.write_text('img_path,alpha')
    assert earlier_training(str(tmp_path)) == [str(table)]
    note_written(table)
    assert earlier_training(str(tmp_path)) == []
    (tmp_path / 'epoch_1.pth').touch()
    assert str(table) in earlier_training(str(tmp_path))


def test_overwriting_takes_old_tables_away_and_leaves_new_ones(tmp_path):
    for name in ('alpha.csv', 'levels.csv', 'epoch_1.pth'):
        (tmp_path / name).write_text('old')
    (tmp_path / 'calibrator.json').mkdir()  # of a person
    assert str(tmp_path / 'levels.csv') not in files_taken_over(str(tmp_path))
    note_written(tmp_path / 'levels.csv')
    takeover = Takeover(files_taken_over(str(tmp_path)))
    (tmp_path / 'alpha.csv').write_text('of the new training')
    takeover.run(())
    left = {p.name for p in tmp_path.iterdir()}
    assert left == {'alpha.csv', 'calibrator.json', '.mmaslp_written.json'}


def with_calibrator(toy, epochs=3):
    cfg = toy.config('run')
    cfg.custom_hooks = [dict(type='CalibratorHook')]
    cfg.train_cfg.max_epochs = epochs
    return cfg


def test_a_resumed_training_replaces_its_own_calibrator(toy):
    run_training(with_calibrator(toy))
    first = Path('run/calibrator.json').read_bytes()
    run_training(with_calibrator(toy, 4), resume=True)
    assert Path('run/calibrator.json').read_bytes() != first


def test_a_resumed_training_refuses_a_calibrator_that_a_person_made(toy):
    run_training(with_calibrator(toy))
    Path('run/calibrator.json').write_text('{"mine": 1}')
    with pytest.raises(FileExistsError, match=r'calibrator\.json exists already'):
        run_training(with_calibrator(toy, 4), resume=True)
    assert Path('run/calibrator.json').read_text() == '{"mine": 1}'
    assert not Path('run/epoch_4.pth').exists()
    run_training(with_calibrator(toy), overwrite=True)
    assert Path('run/calibrator.json').read_text() != '{"mine": 1}'


def in_a_file(toy, epochs=3, note=''):
    """A config of a file ``net.py``, which the work directory gets a copy of."""
    cfg = toy.config('run')
    cfg.custom_hooks = []
    cfg.train_cfg.max_epochs = epochs
    cfg.note = note
    cfg.dump('net.py')
    cfg = Config.fromfile('net.py')
    cfg.work_dir = 'run'
    return cfg


def note_of(path='run/net.py'):
    return Config.fromfile(path).note


class Stopped(Exception):
    """The training was stopped before its first checkpoint."""


@pytest.fixture
def stop(monkeypatch):
    """Stop a training before its first checkpoint."""

    def stop(cfg, **options):
        with monkeypatch.context() as patch:
            patch.setattr(Runner, 'save_checkpoint', raise_stopped)
            with pytest.raises(Stopped):
                run_training(cfg, **options)

    def raise_stopped(*_, **__):
        raise Stopped

    return stop


def test_the_config_there_is_that_of_the_checkpoints(toy, stop):
    stop(in_a_file(toy, note='stopped'))
    assert note_of() == 'stopped'
    run_training(in_a_file(toy, note='first'))
    assert note_of() == 'first'
    stop(in_a_file(toy, note='also stopped'), overwrite=True)
    assert note_of() == 'first'
    run_training(in_a_file(toy, note='second'), overwrite=True)
    assert note_of() == 'second'
    run_training(in_a_file(toy, epochs=4, note='resumed'), resume=True)
    assert note_of() == 'resumed'


def test_a_config_that_mmsegmentation_wrote_is_replaced(toy):
    Runner.from_cfg(in_a_file(toy, note='first')).train()
    run_training(in_a_file(toy, epochs=4, note='resumed'), resume=True)
    assert note_of() == 'resumed'


def test_a_config_with_notes_stays(toy):
    run_training(in_a_file(toy, note='first'))
    mine = Path('run/net.py').read_text() + '# mine\n'
    Path('run/net.py').write_text(mine)
    run_training(in_a_file(toy, epochs=4, note='resumed'), resume=True)
    assert Path('run/net.py').read_text() == mine
    others = {path for path in Path('run').glob('*.py') if path.name != 'net.py'}
    assert {note_of(str(path)) for path in others} == {'resumed'}


@pytest.mark.parametrize('folder', ['toy/val/images/new', 'toy/train/masks/a/b'])
def test_a_work_directory_in_a_folder_that_is_read(toy, folder):
    cfg = toy.config(folder)
    with pytest.raises(ValueError, match=r'`work_dir` .*which is read'):
        run_training(cfg)
    assert not os.path.exists(folder)
    for split in ('train', 'val'):  # folders that the class knows, not the config
        dataset = cfg[f'{split}_dataloader'].dataset
        dataset.update(data_prefix={}, split=None)
    with pytest.raises(ValueError, match=r'`work_dir` .*which is read'):
        run_training(cfg)
    assert not os.path.exists(folder)
