"""The command as a whole: help, version, what it says to words it does not know."""

import subprocess
import sys
from importlib import import_module

import pytest

import mmaslp
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


@pytest.mark.parametrize(
    ('argv', 'message'),
    [
        ([], 'COMMAND'),
        (['trian'], 'did you mean train?'),
        (['fit_temperature'], 'did you mean fit-temperature?'),
        (['eval-maps', 'a', 'b', '--jsn', 'f'], 'did you mean --json?'),
        (['test', 'c', 'd', '--eval', 'ecee'], 'did you mean ece?'),
        (['prepare', 'dut-omrom'], 'did you mean dut-omron?'),
        (['demo', '--epochs', 'x'], 'invalid int value'),
        (['--quik', 'train'], '--quik'),
    ],
)
def test_unknown_words(argv, message, capsys):
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('error: ') and message in line
    assert line.endswith('--help)')


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(['--version'])
    assert end.value.code == 0
    assert capsys.readouterr().out == f'mmaslp {mmaslp.__version__}\n'


def test_help_of_the_command_imports_no_torch():
    code = (
        'import runpy, sys\n'
        'sys.argv = ["-m", "--help"]\n'
        'sys.orig_argv = ["python", "-m", "mmaslp", "--help"]\n'
        'try: runpy.run_module("mmaslp", run_name="__main__")\n'
        'except SystemExit: pass\n'
        'print("torch" in sys.modules, "mmengine" in sys.modules)\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(f'    {name}' in done.stdout for name in COMMANDS)
    assert done.stdout.splitlines()[-1] == 'False False'
