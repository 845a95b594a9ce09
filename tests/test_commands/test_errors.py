import pytest

from mmaslp.commands.errors import exit_on_user_error


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
