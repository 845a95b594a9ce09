import os
import signal
import time

import pytest

from mmaslp.commands.errors import exit_code_of, exit_on_user_error


def fail(error):
    raise error


@pytest.mark.parametrize('kind', [ValueError, FileNotFoundError, ImportError])
def test_what_the_user_can_mend_is_a_message(capsys, monkeypatch, kind):
    code = exit_code_of(lambda: fail(kind('no such thing')), config='my config.py')
    assert code == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == 'error: no such thing'
    assert "`mmaslp doctor 'my config.py'`" in second and 'MMASLP_TRACEBACK=1' in second
    monkeypatch.setenv('MMASLP_TRACEBACK', '1')
    assert exit_code_of(lambda: fail(kind('no such thing'))) == 2
    assert 'Traceback (most recent call last)' in capsys.readouterr().err


def test_what_nobody_expected_is_a_short_message_too(capsys):
    assert exit_code_of(lambda: 1 / 0) == 1
    found = capsys.readouterr().err
    assert found.startswith('failed: ZeroDivisionError: division by zero\n')
    assert 'Traceback' not in found


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signals(capsys, number):
    before = signal.getsignal(signal.SIGTERM)

    def work():
        os.kill(os.getpid(), number)
        # Another thread may have got the signal: pause() would wait for ever.
        for _ in range(1000):
            time.sleep(0.01)

    assert exit_code_of(work, kept=lambda: 'all is kept') == 128 + number
    assert capsys.readouterr().err == 'interrupted: all is kept\n'
    assert exit_code_of(work) == 128 + number
    assert 'the same command starts again' in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interrupt_that_mmengine_takes_for_a_bad_config(capsys):
    def dump():
        try:
            raise KeyboardInterrupt
        except BaseException:
            raise SyntaxError('Failed to format the config file')  # noqa: B904

    assert exit_code_of(dump, kept=lambda: 'all is kept') == 130
    assert capsys.readouterr().err == 'interrupted: all is kept\n'


def test_line_breaks_of_a_name_and_of_a_message(capsys):
    exit_code_of(lambda: fail(ValueError('a\nb.png is bad:\n- so')), words=['a\nb.png'])
    assert capsys.readouterr().err.splitlines()[:2] == [
        r'error: a\nb.png is bad:',
        '- so',
    ]


def test_a_reader_that_goes_away_is_no_error(capsys):
    assert exit_code_of(lambda: fail(BrokenPipeError())) == 1
    assert capsys.readouterr().err == ''


def test_scripts_end_with_the_code():
    exit_on_user_error(lambda: None)()
    with pytest.raises(SystemExit) as end:
        exit_on_user_error(fail)(ValueError())
    assert end.value.code == 2
