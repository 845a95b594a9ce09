"""The command: what it prints and how it ends, with a host and without one."""

import subprocess
import sys

import pytest

from mmaslp.commands import run_command


def test_command_line(toy, tmp_path, capsys, monkeypatch):
    path = tmp_path / 'config.py'
    cfg = toy.config(tmp_path / 'run')
    cfg.dump(path)
    assert run_command('doctor', [str(path)]) == 0
    out = capsys.readouterr().out
    assert 'test images are val images' in out
    assert '\n0 errors, 1 warning, ' in out
    cfg.model.decode_head.update(out_channels=7, num_classes=7)
    cfg.dump(path)
    assert run_command('doctor', [str(path)]) == 1
    out = capsys.readouterr().out
    assert 'model.decode_head has 7 channels' in out
    assert '\n1 error, 1 warning, ' in out
    order = ['# Paste', '\nok: ', '\nnote: ', '\nwarning: ', '\nerror: ', '\n1 error']
    assert sorted(order, key=out.rindex) == order
    cfg.pop('model')
    cfg.dump(path)
    assert run_command('doctor', [str(path)]) == 1
    out = capsys.readouterr().out
    assert 'has not a model' in out
    assert '\n1 error, ' in out
    path.write_text('model = (')
    monkeypatch.chdir(tmp_path)
    assert run_command('doctor', [path.name]) == 1
    assert '\nerror:   config.py cannot be read' in capsys.readouterr().out
    path.write_text("_base_ = 'mmseg::nope.py'")
    assert run_command('doctor', [path.name]) == 1
    assert "there is no base 'mmseg::nope.py'" in capsys.readouterr().out


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
        'others = lambda n: version(n if "mm" not in n else "no-" + n)\n'
        f'm.version = version if {broken} else others\n'
        'sys.argv = ["mmaslp", "doctor"]\n'
        'runpy.run_module("mmaslp", run_name="__main__")\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == int(broken), done.stderr
    if broken:
        assert 'MMSegmentation cannot be imported: too new' in done.stdout
    else:
        assert 'MMSegmentation is not installed' in done.stdout
        assert 'pip install "mmaslp[onedl]"' in done.stdout
