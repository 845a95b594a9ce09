import pytest

from mmaslp.apis import demo
from mmaslp.apis.demo import run_demo


def test_a_training_that_fails_shows_its_end(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(demo.MODELS, 'BCE', 'bcee')
    with pytest.raises(SystemExit, match=r'BCE: .*train .* failed, see .*train.log'):
        run_demo(tmp_path, models=['BCE'], epochs=1)
    assert 'did you mean demo/bce.py?' in capsys.readouterr().out
    assert (tmp_path / 'bcee' / 'train.log').is_file()


def test_a_picture_of_the_user_stays(tmp_path):
    (tmp_path / 'reliability.png').write_bytes(b'mine')
    with pytest.raises(ValueError, match='would be lost'):
        run_demo(tmp_path, models=['BCE'], epochs=1)


@pytest.mark.slow
def test_one_epoch(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_demo(tmp_path, models=['BCE'], epochs=1)
    printed = capsys.readouterr().out
    assert '[BCE] epoch 1/1  validation ECE 0.' in printed
    assert 'BCE, test' in printed and 'BCE, synthetic-ood' in printed
    assert (tmp_path / 'reliability.png').stat().st_size > 1000
    assert (tmp_path / 'bce' / 'report.html').is_file()
