import errno
import os
import signal
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mmaslp.commands import COMMANDS, main
from mmaslp.commands.arguments import CommandParser
from mmaslp.commands.errors import OPTIONS, describe, exit_code_of
from mmaslp.common.mistakes import about_config
from tests.map_folders import write_set


def fail(error):
    raise error


@pytest.mark.parametrize('kind', [ValueError, ImportError])
def test_what_the_user_can_mend_is_a_message(capsys, monkeypatch, kind):
    code = exit_code_of(lambda: fail(kind('no such thing')), config='my config.py')
    assert code == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == 'error: no such thing'
    assert "`mmaslp doctor 'my config.py'`" in second
    assert 'MMASLP_TRACEBACK=1' in second
    monkeypatch.setenv('MMASLP_TRACEBACK', '1')
    assert exit_code_of(lambda: fail(kind('no such thing'))) == 2
    assert 'Traceback (most recent call last)' in capsys.readouterr().err


def test_the_doctor_is_not_named_where_it_could_say_no_more(capsys):
    assert exit_code_of(lambda: fail(ValueError('other images'))) == 2
    assert exit_code_of(lambda: fail(FileNotFoundError('no a')), config='c.py') == 2
    err = capsys.readouterr().err
    assert err.startswith('error: other images\n')
    assert 'error: no a\n' in err
    assert 'mmaslp doctor' not in err


def test_what_nobody_expected_is_a_short_message_too(capsys):
    assert exit_code_of(lambda: 1 / 0) == 1
    found = capsys.readouterr().err
    assert found.startswith('failed: ZeroDivisionError: division by zero\n')
    assert 'mmaslp doctor' not in found  # there is no config to look at
    assert 'MMASLP_TRACEBACK=1' in found
    assert 'Traceback' not in found


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signals(capsys, number):
    before = signal.getsignal(signal.SIGTERM)

    def work():
        os.kill(os.getpid(), number)
        # Another thread may have got the signal: pause() would wait for ever.
        for _ in range(1000):
            time.sleep(0.01)

    assert exit_code_of(work, after_interrupt=lambda: 'all is kept') == 128 + number
    assert capsys.readouterr().err == 'interrupted: all is kept\n'
    assert exit_code_of(work) == 128 + number
    assert 'with --overwrite if a file is there already' in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interrupt_while_arguments_are_read(capsys, monkeypatch):
    def parse(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(CommandParser, 'parse_args', parse)
    assert main(['prepare', 'data']) == 130
    assert capsys.readouterr().err == 'interrupted: nothing was done yet\n'


def test_an_interrupt_that_mmengine_takes_for_a_bad_config(capsys):
    def dump():
        try:
            raise KeyboardInterrupt
        except BaseException:
            raise SyntaxError('Failed to format the config file')  # noqa: B904

    assert exit_code_of(dump, after_interrupt=lambda: 'all is kept') == 130
    assert capsys.readouterr().err == 'interrupted: all is kept\n'


def test_a_reader_that_goes_away_is_no_error(capsys):
    assert exit_code_of(lambda: fail(BrokenPipeError())) == 1
    assert capsys.readouterr().err == ''


def caught(work):
    try:
        work()
    except Exception as error:
        return error
    raise AssertionError('nothing was raised')


@pytest.mark.parametrize(
    ('error', 'message'),
    [
        (OSError(errno.ENOSPC, 'No space left', 'a.json'), 'a.json: No space left'),
        (OSError(errno.ELOOP, 'A loop', b'a', None, 'b'), 'a: b: A loop'),
        (OSError(errno.EMFILE, 'Too many open files'), 'Too many open files'),
        (OSError(99999, ''), 'it cannot be used'),
        (ValueError('a.png: bad'), 'a.png: bad'),
        (ValueError(), 'ValueError'),
    ],
)
def test_mistakes(error, message):
    mistake, text = describe(caught(lambda: fail(error)))
    assert mistake
    assert text.startswith(message)


@pytest.mark.parametrize(
    ('error', 'message'),
    [
        (OSError(errno.ENOSPC, 'No space left'), 'runs/a: No space left'),
        (OSError(errno.ENOSPC, 'No space left', 'b.pth'), 'b.pth: No space left'),
        (OSError(errno.EMFILE, 'Too many open files'), 'Too many open files'),
    ],
)
def test_a_full_disk_is_named(error, message):
    assert describe(error, folder='runs/a') == (True, message)


def test_a_command_names_the_folder_that_it_writes_into(monkeypatch, capsys):
    def fill(args):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('mmaslp.commands.report.run', fill)
    assert main(['report', 'a.json', '--out', 'pages/page.html']) == 2
    assert 'pages/page.html: No space left' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('error', 'message'),
    [
        (
            RuntimeError('[enforce fail] PytorchStreamWriter failed writing file'),
            'RuntimeError: a checkpoint could not be written: is the disk full?',
        ),
        (RuntimeError('shape\n  mismatch'), 'RuntimeError: shape mismatch'),
        (KeyError('a'), 'KeyError: a'),
        (
            KeyError('Cells is already registered in dataset at mine.cells'),
            'KeyError: two classes of one registry have the same name: rename your own',
        ),
        (AssertionError(), 'AssertionError: AssertionError'),
        (
            RuntimeError('stack expects each tensor to be equal size, but got [3, 4]'),
            'RuntimeError: images of a batch differ in size: add Resize',
        ),
        (
            ArithmeticError('The image size in a batch should be the same.'),
            'ArithmeticError: images of a batch differ in size: add Resize',
        ),
        (
            RuntimeError("OpenCV (-215) !buf.empty() in function 'imdecode_'"),
            'RuntimeError: an image or a mask is empty or damaged: `mmaslp prepare',
        ),
        (
            IndexError('need at least one array to concatenate'),
            'IndexError: a data set has no image (need',
        ),
    ],
)
def test_failures(error, message):
    mistake, text = describe(caught(lambda: fail(error)), 'c.py')
    assert not mistake
    assert text.startswith(message)


class FirstHead(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(7, 1, 1)

    def forward(self, x):
        return self.layer(x)


def test_a_failure_of_the_network_names_the_part():
    error = caught(lambda: FirstHead()(torch.zeros(1, 4, 2, 2)))
    assert describe(error).text.endswith(' (in FirstHead of the model)')


def test_marked_errors_are_about_the_config():
    build = about_config()(fail)
    text = 'Foo is not in the x registry'
    error = caught(lambda: build(KeyError(text)))
    expected = 'cannot be built: KeyError: Foo is not in the x registry'
    assert describe(error) == (True, f'the config {expected}')
    assert describe(error, 'c.py') == (True, f'c.py {expected}')
    error = caught(lambda: build(ValueError('invalid literal')))
    expected = 'cannot be built: ValueError: invalid literal'
    assert describe(error, 'c.py') == (True, f'c.py {expected}')


def test_the_part_that_cannot_be_built_is_told():
    def measure(cfg):
        raise TypeError('None is not a callable object')

    part = dict(type='OptimWrapper', optimizer=dict(type='Adm', api_key='secret'))
    build = about_config()(measure)
    _, text = describe(caught(lambda: build(part)), 'c.py')
    assert text.startswith('c.py cannot be built: TypeError: None is not a callable')
    assert text.endswith('(in the part of OptimWrapper, Adm)')

    _, text = describe(caught(lambda: measure(part)), 'c.py')
    assert text == 'TypeError: None is not a callable object'  # not about the config


def test_a_command_runs_in_a_thread_too(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path, 6)
    with ThreadPoolExecutor(1) as pool:
        words = ('fit', 'maps', 'masks', '--out', 'c.json', '--groups', r'\d+')
        assert pool.submit(main, [*words]).result() in (0, 2)
        assert pool.submit(main, ['eval-maps', 'maps', 'masks']).result() == 0
    assert 'handler' not in capsys.readouterr().err


def test_an_error_of_a_worker_of_a_data_loader_is_its_last_line():
    class Broken(Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            raise ValueError(f'{index}.png: its mask is\nanother one')

    with pytest.raises(ValueError, match='in DataLoader worker') as raised:
        next(iter(DataLoader(Broken(), num_workers=1)))
    assert describe(raised.value) == (True, '0.png: its mask is\nanother one')


@pytest.mark.parametrize(
    ('python', 'command'),
    [
        ('state with `max_value` which', 'state with --max-value which'),
        ("give `masks='keep'`, or leave", 'give --masks keep, or leave'),
        ('(of per cent `max_value=100`)', '(of per cent --max-value 100)'),
        ('replace it with `overwrite=True`', 'replace it with --overwrite'),
        ('val_ratio must be a number', '--val-ratio must be a number'),
        # No arguments: a command, an argument without an option, a word, a file.
        *[(text, text) for text in ('`mmaslp fit --out x`', '`graded=True`')],
        # Nor one that a part of a config may have.
        ('seed must be an integer', 'seed must be an integer'),
        *[(text, text) for text in ('masks of level', '/max_value/masks/key.png')],
    ],
)
def test_messages_of_python_name_options_of_commands(capsys, python, command):
    assert exit_code_of(lambda: fail(ValueError(python))) == 2
    assert capsys.readouterr().err.startswith(f'error: {command}\n')


def test_a_warning_names_options_too(monkeypatch, capsys):
    def run(args):
        warning = UserWarning('all lie below `max_value`')
        print(warnings.formatwarning(warning, UserWarning, __file__, 1), end='')

    monkeypatch.setattr('mmaslp.commands.apply.run', run)
    assert main(['apply', 'c.json', 'maps', '--out', 'out']) == 0
    assert capsys.readouterr().out == 'warning: all lie below --max-value\n'


def test_each_option_that_stands_for_an_argument_is_there():
    options = set()
    for name in COMMANDS:
        parser = CommandParser()
        module = import_module(f'mmaslp.commands.{name.replace("-", "_")}')
        module.add_arguments(parser)
        options |= set(parser._option_string_actions)
    assert set(OPTIONS.values()) <= options
