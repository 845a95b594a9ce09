"""The command: what it prints and how it ends, with a host and without one."""

import subprocess
import sys

import pytest

from mmaslp.hosts.mmseg import doctor


def test_command_line(toy, tmp_path, capsys):
    path = tmp_path / 'config.py'
    cfg = toy.config(tmp_path / 'run')
    cfg.dump(path)
    assert doctor.main([str(path)]) == 0
    out = capsys.readouterr().out
    assert f'{path} works with the plugin' in out and out.endswith('no error\n')

    assert 'test_dataloader has the images of val_dataloader' in out
    cfg.test_dataloader.dataset.data_root = str(toy.root / 'train')
    cfg.train_dataloader.dataset = dict(
        type='RepeatDataset', times=2, dataset=dict(cfg.train_dataloader.dataset)
    )
    cfg.train_dataloader.dataset.dataset.data_root = 'nowhere'
    cfg.dump(path)
    assert doctor.main([str(path)]) == 0
    out = capsys.readouterr().out
    assert 'test_dataloader has the images' not in out
    assert 'no folder nowhere here' in out
    assert 'train_dataloader.dataset.dataset.data_root' in out

    cfg.pop('custom_hooks')
    cfg.model.decode_head.out_channels = 7
    cfg.dump(path)
    assert doctor.main([str(path)]) == 1
    assert 'model.decode_head has 7 channels' in capsys.readouterr().out
    path.write_text('model = (')
    assert doctor.main([str(path)]) == 1
    assert 'cannot be read' in capsys.readouterr().out


@pytest.mark.parametrize('broken', [False, True])
def test_without_a_host(tmp_path, broken):
    """A fresh interpreter that does not see the host, or sees one that fails."""
    if broken:
        (tmp_path / 'mmseg').mkdir()
        (tmp_path / 'mmseg' / '__init__.py').write_text('assert False, "too new"')
    code = (
        'import importlib.util as u, runpy, sys\n'
        'real = u.find_spec\n'
        f'hidden = {() if broken else ("mmseg", "mmcv", "mmengine")}\n'
        'u.find_spec = lambda n, *a: None if n in hidden else real(n, *a)\n'
        'import importlib.metadata as m\n'
        'version = m.version\n'
        'def none(name):\n'
        '    if "mm" in name: raise m.PackageNotFoundError(name)\n'
        '    return version(name)\n'
        f'm.version = version if {broken} else none\n'
        'sys.argv = ["doctor"]\n'
        'runpy.run_module("mmaslp.hosts.mmseg.doctor", run_name="__main__")\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    if broken:
        assert "the host cannot be imported: AssertionError('too new')" in done.stdout
        assert 'mmaslp doctor` says what to install' in done.stderr
    else:
        assert 'no host is installed' in done.stdout
        assert 'pip install "mmaslp[onedl]"' in done.stdout
