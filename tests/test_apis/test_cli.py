import argparse
import os

import pytest

from mmaslp.apis.cli import add_host_arguments, exit_on_user_error, set_local_rank


@exit_on_user_error
def fail(error):
    raise error


@pytest.mark.parametrize('kind', [ValueError, FileNotFoundError, ImportError])
def test_what_the_user_can_mend_is_a_message(capsys, monkeypatch, kind):
    with pytest.raises(SystemExit) as end:
        fail(kind('no such thing'))
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith('error: no such thing\n')
    monkeypatch.setenv('MMASLP_TRACEBACK', '1')
    with pytest.raises(kind):
        fail(kind('no such thing'))


def test_other_errors_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        fail(ZeroDivisionError())


def test_arguments_of_the_host(monkeypatch):
    parser = argparse.ArgumentParser()
    add_host_arguments(parser)
    options = ['--cfg-options', 'a.b=1', 'c=[x,y]', '--local-rank', '3']
    args = parser.parse_args(['--work-dir', 'w', '--launcher', 'pytorch', *options])
    assert args.cfg_options == {'a.b': 1, 'c': ['x', 'y']}
    assert (args.work_dir, args.launcher) == ('w', 'pytorch')
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    set_local_rank(args)
    assert os.environ['LOCAL_RANK'] == '3'
    monkeypatch.setenv('LOCAL_RANK', '5')
    set_local_rank(args)
    assert os.environ['LOCAL_RANK'] == '5'
