import errno

import pytest
from torch._utils import ExceptionWrapper

from mmaslp.commands.messages import describe, is_mistake


def caught(work):
    try:
        work()
    except Exception as error:
        return error
    raise AssertionError('nothing was raised')


def fail(error):
    raise error


def build_from_cfg(error):  # named as MMEngine's
    raise error


@pytest.mark.parametrize(
    ('error', 'message'),
    [
        (OSError(errno.ENOSPC, 'x', 'a.json'), 'a.json: the disk is full: free some'),
        (OSError(errno.ELOOP, 'x', b'a', None, 'b'), 'a and b: its links go in a'),
        (PermissionError(errno.EACCES, 'x', 'a'), 'a: there is no permission: change'),
        (OSError(errno.EMFILE, 'Too many open files'), 'Too many open files'),
        (OSError(99999, ''), 'it cannot be used'),
        (ValueError('a.png: bad'), 'a.png: bad'),
        (ValueError(), 'ValueError'),
        (UnicodeEncodeError('utf-8', "b 'a\udcff'", 4, 5, ''), 'a\udcff: a name that'),
    ],
)
def test_mistakes(error, message):
    error = caught(lambda: fail(error))
    assert is_mistake(error)
    assert describe(error).startswith(message)


@pytest.mark.parametrize(
    ('error', 'message'),
    [
        (RuntimeError('shape\n  mismatch'), 'RuntimeError: shape mismatch'),
        (
            RuntimeError('CUDA out of memory.'),
            'RuntimeError: CUDA out of memory.: take',
        ),
        (KeyError('a'), 'KeyError: there is no a'),
        (AssertionError(), 'AssertionError: AssertionError'),
    ],
)
def test_failures(error, message):
    error = caught(lambda: fail(error))
    assert not is_mistake(error)
    assert describe(error, 'c.py').startswith(message)


def test_errors_while_the_host_builds_are_about_the_config():
    text = 'Foo is not in the x registry. Please check whether the value of `Foo` is'
    error = caught(lambda: build_from_cfg(KeyError(text)))
    assert is_mistake(error)
    expected = 'cannot be built: KeyError: Foo is not in the x registry'
    assert describe(error) == f'the config {expected}'
    assert describe(error, 'c.py') == f'c.py {expected}'
    error = caught(lambda: build_from_cfg(ValueError('invalid literal')))
    assert (
        describe(error, 'c.py') == 'c.py cannot be built: ValueError: invalid literal'
    )


@pytest.mark.parametrize('kind', [ValueError, AssertionError])
def test_errors_of_a_process_that_loads_data(kind):
    error = caught(lambda: fail(kind('a.png: bad\n(worse: b)')))
    wrapper = ExceptionWrapper(
        (type(error), error, error.__traceback__), 'in DataLoader worker process 0'
    )
    error = caught(wrapper.reraise)
    assert is_mistake(error)
    assert describe(error).startswith('a.png: bad')
    assert 'Traceback' not in describe(error)
