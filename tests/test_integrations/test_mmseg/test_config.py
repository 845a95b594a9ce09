import re

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmaslp.commands import main
from mmaslp.common.mistakes import is_about_config
from mmaslp.integrations.mmseg.checkpoint import check_checkpoint
from mmaslp.integrations.mmseg.config import (
    bases_of,
    build_runner,
    find_config,
    name_run,
)
from tests.configs import load_config


@pytest.mark.parametrize(
    'imports', ["'mmaslp'", "['mmaslp']", "dict(imports=['mmaslp'])"]
)
def test_imports_in_any_form(tmp_path, recwarn, imports):
    path = tmp_path / 'config.py'
    path.write_text(f'custom_imports = {imports}\nmodel = dict(depth=1)\n')
    cfg = load_config(str(path), {'model.depth': 2})
    assert cfg.custom_imports == dict(imports=['mmaslp'])
    assert cfg.model.depth == 2
    assert not recwarn.list
    assert load_config(str(path), {'compile': True}).compile
    assert not recwarn.list
    with pytest.raises(ImportError, match='nowhere'):
        load_config(str(path), {'custom_imports': ['nowhere']})


@pytest.mark.parametrize(
    ('part', 'name'),
    [
        ('train_cfg = dict(max_epochs=0)', 'max_epochs'),
        ("randomness = dict(seed='abc')", 'randomness.seed'),
        ('train_cfg = dict(val_interval=-1)', 'val_interval'),
        ("train_cfg = dict(val_begin='x')", 'val_begin'),
        ("train_cfg = 'x'", 'train_cfg'),
        ('model = [1]', 'model'),
        ("custom_hooks = dict(type='CalibratorHook')", 'custom_hooks'),
        ("resume = 'yes'", 'resume'),
    ],
)
def test_parts_are_checked_where_they_are_read(tmp_path, capsys, part, name):
    path = tmp_path / 'config.py'
    path.write_text(f'{part}\n')
    with pytest.raises(ValueError, match=rf'config\.py: .*{name}'):
        load_config(str(path))
    assert main(['doctor', str(path)]) == 1
    assert name in capsys.readouterr().out


def test_configs_of_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = find_config('mmaslp::demo/bce.py')
    assert find_config('demo/bce.py') == own
    assert own.endswith('configs/demo/bce.py')
    (tmp_path / 'demo').mkdir()
    (tmp_path / 'demo' / 'bce.py').touch()
    assert find_config('demo/bce.py') == 'demo/bce.py'
    assert find_config('mmaslp::demo/bce.py') == own
    with pytest.raises(FileNotFoundError, match='no config at'):
        find_config('demo/bec.py')
    for name in ('mmaslp::../README.md', 'mmaslp::demo'):
        with pytest.raises(FileNotFoundError, match='the package has no config'):
            find_config(name)


def test_names_of_runs_differ_by_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = []
    for work_dir in ('a/run', 'b/run', 'b/run/', tmp_path / 'b/run'):
        cfg = Config(dict(work_dir=str(work_dir), visualizer=dict(type='x')))
        name_run(cfg, 'test')
        assert cfg.visualizer.name == cfg.experiment_name
        names.append(cfg.experiment_name)
    assert names[0] != names[1] == names[2] == names[3]
    assert names[0].startswith('run_')
    assert names[0].endswith('_test')


def test_a_name_that_the_config_gives_stays_in_that_of_the_run(tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path), experiment_name='mine'))
    for _ in range(2):
        name_run(cfg, 'train')
    assert re.fullmatch(r'mine_\w{8}_train', cfg.experiment_name)


def test_a_runner_that_a_config_names(toy, tmp_path):
    @RUNNERS.register_module(force=True)
    class OwnRunner(Runner):
        """As a user registers one."""

    cfg = toy.config(tmp_path / 'run', runner_type='OwnRunner')
    runner = build_runner(cfg)
    assert isinstance(runner, OwnRunner)
    # What it builds when it trains is of the config, too.
    with pytest.raises(KeyError) as raised:
        runner.build_optim_wrapper(dict(type='Nix', optimizer=dict(type='Adam')))
    assert is_about_config(raised.value)


def test_whole_checkpoints_pass(tmp_path):
    torch.save({'a': torch.zeros(3)}, tmp_path / 'new.pth')
    torch.save({}, tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    for path in (tmp_path / 'new.pth', tmp_path / 'old.pth'):
        check_checkpoint(str(path))
    check_checkpoint('torchvision://resnet50')


def test_damaged_checkpoints(tmp_path):
    """tests/test_commands/test_messages.py has files of other kinds."""
    torch.save({'a': torch.full((99,), 7, dtype=torch.uint8)}, tmp_path / 'a.pth')
    data = (tmp_path / 'a.pth').read_bytes()
    path = tmp_path / 'b.pth'
    path.write_bytes(data.replace(b'\x07' * 64, b'\x08' * 64))
    with pytest.raises(ValueError, match='fails its checksum'):
        check_checkpoint(str(path))


def test_bases_of_bases_are_found_too(tmp_path):
    (tmp_path / 'below').mkdir()
    (tmp_path / 'below' / 'base.py').write_text(
        "_base_ = ['mmseg::_base_/default_runtime.py', 'mmaslp::demo/bce.py']\n"
    )
    (tmp_path / 'middle.py').write_text("_base_ = 'below/base.py'\n")
    (tmp_path / 'top.py').write_text("_base_ = ['middle.py', 'mmaslp::demo/bce.py']\n")
    scoped = ['mmseg::_base_/default_runtime.py', 'mmaslp::demo/bce.py']
    files = [str(tmp_path / name) for name in ('below/base.py', 'middle.py')]
    assert bases_of(str(tmp_path / 'top.py')) == scoped + files
    assert bases_of(str(tmp_path / 'below' / 'base.py')) == scoped
