import io
import sys

from mmaslp.files import progress
from mmaslp.files.progress import showing_progress
from mmaslp.hosts.mmseg.hooks.progress_hook import ProgressHook
from mmaslp.hosts.mmseg.runs import build_runner


def names(runner):
    return [type(hook) for hook in runner.hooks]


def test_bars_of_a_training_and_a_test(toy, tmp_path, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(progress, 'DELAY', 0)
    monkeypatch.setattr(sys, 'stderr', terminal)
    cfg = toy.config(tmp_path, **{'train_cfg.max_epochs': 1, 'log_level': 'INFO'})
    with showing_progress():
        runner = build_runner(cfg)
        handlers = list(runner.logger.handlers)
        runner.train()
        text = terminal.getvalue()
        assert '0/5' in text and '4/5' in text and 'validating' in text
        runner.test()
    assert 'testing' in terminal.getvalue()
    assert runner.logger.handlers == handlers


def test_not_where_nothing_is_shown(toy, tmp_path):
    with showing_progress():  # stderr is no terminal here
        assert ProgressHook not in names(build_runner(toy.config(tmp_path)))
