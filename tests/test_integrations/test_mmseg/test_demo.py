import subprocess

import pytest

from mmaslp.commands import demo
from mmaslp.commands.demo import run_demo


@pytest.mark.release
def test_a_training_that_fails_ends_the_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(demo.MODELS, 'BCE', 'bcee')
    started = []

    class Process(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            started.append(self)

    monkeypatch.setattr(demo.subprocess, 'Popen', Process)
    with pytest.raises(SystemExit, match=r'BCE: .* failed'):
        run_demo(tmp_path, models=['ASLP', 'BCE'], epochs=100)
    assert all(process.poll() is not None for process in started)
    assert not list(tmp_path.glob('**/epoch_*.pth'))


def test_a_page_of_the_user_stays(tmp_path):
    (tmp_path / 'report.html').write_bytes(b'mine')
    with pytest.raises(FileExistsError, match=r'report\.html'):
        run_demo(tmp_path, models=['BCE'], epochs=1)


@pytest.mark.release
def test_the_demo_says_what_came_of_levels(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_demo(tmp_path, models=['levels'], epochs=20, seed=1)
    printed = capsys.readouterr().out
    assert '[levels] epoch 4/20  validation ECE 0.' in printed
    assert 'levels, test' in printed
    assert 'levels + calibrator: ' in printed
    assert (tmp_path / 'report.html').stat().st_size > 1000
    assert (tmp_path / 'aslp_fb_border' / 'report.html').is_file()
