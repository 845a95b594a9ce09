"""The command as a whole: help, version, what it says to words it does not know."""

import subprocess
import sys
import warnings
from importlib import import_module

import pytest

import mmaslp
import mmaslp.commands.demo
import mmaslp.commands.doctor
import mmaslp.commands.test
from mmaslp import commands
from mmaslp.commands import COMMANDS, main


@pytest.mark.parametrize('name', COMMANDS)
def test_help_has_an_example_of_the_command(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, '--help'])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert f'Example:\n    mmaslp {name} ' in shown
    module = import_module(f'mmaslp.commands.{name.replace("-", "_")}')
    assert module.__doc__.splitlines()[0] in shown


def test_choices_are_those_of_the_package():
    """The commands write them out, so that their help imports nothing."""
    from mmaslp.integrations.mmseg.checks.settings import HOOKS_OF_LEVELS
    from mmaslp.integrations.mmseg.testing import EVALUATIONS

    assert tuple(EVALUATIONS) == commands.test.EVALUATIONS
    parser = commands.CommandParser()
    commands.doctor.add_arguments(parser)
    [levels] = [action for action in parser._actions if action.dest == 'levels']
    assert tuple(HOOKS_OF_LEVELS) == levels.choices


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        ([], 'COMMAND'),
        (['trian'], "invalid choice: 'trian'"),
        (['eval-maps', 'a', 'b', '--jsn', 'f'], 'unrecognized arguments: --jsn'),
        (['demo', '--epochs', 'x'], 'invalid int value'),
        (['demo', '--work-dir', ''], '--work-dir is empty'),
        (['--quik', 'train'], '--quik'),
        (['test', '--eval', 'ece', 'c.py', 'x.pth'], 'name them before options'),
    ],
)
def test_unknown_words(argv, message, capsys):
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('error: ')
    assert message in line
    assert line.endswith('--help)')


def run_of_report(monkeypatch, work):
    """Run the command report with other work."""
    monkeypatch.setattr('mmaslp.commands.report.run', work)
    return main(['report', 'a.json', '--out', 'page.html'])


def test_warnings_look_like_errors(monkeypatch, capsys):
    def warn(args):
        text = warnings.formatwarning('it is odd', UserWarning, 'code.py', 3)
        assert text == 'warning: it is odd\n'

    assert run_of_report(monkeypatch, warn) == 0


def test_a_command_leaves_warnings_of_the_process_as_they_are(monkeypatch):
    def silence(args):
        warnings.simplefilter('ignore')
        raise ValueError

    filters, written = [*warnings.filters], warnings.formatwarning
    assert run_of_report(monkeypatch, silence) == 2
    assert warnings.filters == filters
    assert warnings.formatwarning is written


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(['--version'])
    assert end.value.code == 0
    assert capsys.readouterr().out == f'mmaslp {mmaslp.__version__}\n'


def test_help_imports_nothing_slow():
    """The help of all commands in one process, which a host or torch would slow."""
    code = (
        'import contextlib, io, runpy, sys\n'
        f'for name in {[[], *([name] for name in COMMANDS)]}:\n'
        '    sys.argv = ["-m", *name, "--help"]\n'
        '    sys.orig_argv = ["python", "-m", "mmaslp", *name, "--help"]\n'
        '    with contextlib.suppress(SystemExit):\n'
        '        runpy.run_module("mmaslp", run_name="__main__")\n'
        'print({"torch", "mmengine", "numpy", "PIL"} & {*sys.modules})\n'
    )
    done = subprocess.run(
        [sys.executable, '-W', 'error', '-c', code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert all(f'    {name}' in done.stdout for name in COMMANDS)
    assert done.stdout.splitlines()[-1] == 'set()'
