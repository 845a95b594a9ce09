from pathlib import Path

import pytest

from mmaslp.apis.demo import run_demo

ROOT = Path(__file__).resolve().parents[2]


def test_a_tool_that_fails_shows_its_end(tmp_path, capsys):
    with pytest.raises(SystemExit, match=r'BCE: .*train.py .* failed, see .*train.log'):
        run_demo(tmp_path, tmp_path / 'work', models=['BCE'], epochs=1)
    assert "can't open file" in capsys.readouterr().out
    assert (tmp_path / 'work' / 'bce' / 'train.log').is_file()


@pytest.mark.slow
def test_one_epoch(tmp_path, capsys):
    run_demo(ROOT, tmp_path, models=['BCE'], epochs=1)
    printed = capsys.readouterr().out
    assert '[BCE] epoch 1/1  validation ECE 0.' in printed
    assert 'BCE, test' in printed and 'BCE, synthetic-ood' in printed
    assert (tmp_path / 'reliability.png').stat().st_size > 1000
    assert (tmp_path / 'bce' / 'report.html').is_file()
