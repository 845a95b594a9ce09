"""How a command ends: exit codes, and one message instead of a traceback."""

import errno
import os
import re
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from types import CodeType, FrameType

from ..files.names import printable

DONE, FAILED, REFUSED = 0, 1, 2

# Reasons of the operating system, and what to do.
_REMEDIES = {
    errno.ENOENT: 'there is no such file or folder',
    errno.EACCES: 'there is no permission: change it with chmod, or name another place',
    errno.EPERM: 'it is not permitted: change the owner, or name another place',
    errno.EROFS: 'the disk is read-only: name another place',
    errno.ENOSPC: 'the disk is full: free some space, or name another place',
    errno.EDQUOT: 'the quota is used up: free some space, or name another place',
    errno.ELOOP: 'its links go in a circle: remove or mend them',
    errno.EISDIR: 'it is a folder: name a file',
    errno.ENOTDIR: 'a part of the path is a file: name a folder',
    errno.ENAMETOOLONG: 'the name is too long: shorten it',
}
# The functions of MMEngine that make objects of what a config says, and those that look
# up what it does not say.
_BUILDERS = re.compile(r'build_\w+|from_cfg')
_LOOK_UPS = ('__missing__', '__getattr__')
# What a process that loads data raised, in the words of torch.
_WORKER = re.compile(r'Caught \w+ in \w+ worker process \d+\.')
_LAST_LINE = re.compile(r'^(?:\w+\.)*\w*(?:Error|Exception|Warning|Interrupt): ', re.M)
_BOILERPLATE = '. Please check whether the value of'
_MAX_LENGTH = 500
_PACKAGE = Path(__file__).resolve().parents[1]
_CHECKS = _PACKAGE / 'hosts' / 'mmseg' / 'checks'


def exit_code_of(
    work: Callable[[], int | None],
    *,
    config: str | None = None,
    kept: Callable[[], str] | None = None,
) -> int:
    """Run a command; print one message if it raises; return the exit code.

    A mistake of the user gives 2 and says what to change, anything else 1. The message
    stands for the traceback, which names our code; ``MMASLP_TRACEBACK=1`` shows it too.
    Ctrl-C and SIGTERM give 128 and the number of the signal, as shells have it.
    """
    try:
        with _terminable():
            return work() or DONE
    except KeyboardInterrupt as stop:
        return _interrupted(stop, kept)
    except BrokenPipeError:  # `mmaslp ... | head`: nobody reads any more
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        stop = error.__context__  # MMEngine takes an interrupt for a bad config
        if isinstance(stop, KeyboardInterrupt):
            return _interrupted(stop, kept)
        if os.environ.get('MMASLP_TRACEBACK'):
            traceback.print_exception(error)
        mistake, text = describe(error, config)
        doctor = f'mmaslp doctor {shlex.quote(config)}' if config else 'mmaslp doctor'
        _say(f'{"error" if mistake else "failed"}: {text}')
        _say(
            f'(`{doctor}` looks for causes; MMASLP_TRACEBACK=1 shows where it was '
            'raised)'
        )
        return REFUSED if mistake else FAILED


@contextmanager
def _terminable() -> Iterator[None]:
    """Treat SIGTERM, which schedulers send, as Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupted(stop: KeyboardInterrupt, kept: Callable[[], str] | None) -> int:
    whole = 'files that were written are whole; the same command starts again'
    _say(f'interrupted: {kept() if kept else whole}')
    return 128 + (stop.args[0] if stop.args else signal.SIGINT)


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr)


def describe(error: Exception, config: str | None = None) -> tuple[bool, str]:
    """Say whether the input is wrong, rather than the package or machine, and what.

    Our own refusals are ValueErrors, and files and modules can be missing. What
    MMSegmentation raises while it builds a part of the config is about the config, and
    what it asserts is about its input.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return True, _of_the_system(error)
    if isinstance(error, UnicodeEncodeError):
        word = error.object[: error.end].split('\n')[-1].split("'")[-1]
        return True, f'{word}: a name that is not UTF-8 cannot be written: rename it'
    codes = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    inside = bool(codes) and _PACKAGE in PurePath(codes[-1].co_filename).parents
    building = _building(codes)
    if isinstance(error, (ValueError, OSError, ImportError)) and (
        inside or not building or _WORKER.match(str(error))
    ):
        return True, _text(error)
    line = ' '.join(_text(error).split()).split(_BOILERPLATE)[0][:_MAX_LENGTH]
    if isinstance(error, AssertionError) and str(error) and not inside:
        return True, f'{line}: MMSegmentation refuses it'
    text = f'{type(error).__name__}: {line}'
    if building:
        return True, f'{config or "the config"} cannot be built: {text}'
    if 'out of memory' in text or "can't allocate memory" in text:
        text = f'{text}: take a smaller batch_size, or smaller images'
    return False, text


def _of_the_system(error: OSError) -> str:
    where = ' and '.join(
        os.fsdecode(name)
        for name in (error.filename, error.filename2)
        if isinstance(name, (str, bytes, os.PathLike))
    )
    what = _REMEDIES.get(error.errno or 0, error.strerror or 'it cannot be used')
    return f'{where}: {what}' if where else what


def _text(error: Exception) -> str:
    """The message, without the traceback that torch puts into that of a worker."""
    text = str(error)
    if isinstance(error, KeyError) and error.args:  # its str() is that of the key
        text = str(error.args[0])
        text = f'there is no {text}' if text.isidentifier() else text
    if _WORKER.match(text):
        text = _LAST_LINE.split(text)[-1]
    return text.strip() or type(error).__name__


def _building(codes: list[CodeType]) -> bool:
    """Whether MMEngine was building or reading a config, or our checks were."""
    looked_up = codes and codes[-1].co_name in _LOOK_UPS
    if looked_up and PurePath(codes[-1].co_filename).match('mmengine/config/*.py'):
        return True
    return any(
        _BUILDERS.fullmatch(code.co_name)
        or _CHECKS in PurePath(code.co_filename).parents
        for code in codes
    )
