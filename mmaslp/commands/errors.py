"""How a command ends: exit codes, and one message instead of a traceback."""

import os
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from types import FrameType
from typing import Any

from ..files.names import printable, shown
from .messages import describe, is_mistake

DONE, FAILED, REFUSED = 0, 1, 2


def exit_code_of(
    work: Callable[[], int | None],
    *,
    config: str | None = None,
    words: Sequence[str] = (),
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
        return report_error(error, config, words)


def _interrupted(stop: KeyboardInterrupt, kept: Callable[[], str] | None) -> int:
    number = stop.args[0] if stop.args else signal.SIGINT
    _say(f'interrupted: {(kept or _whole_files)()}')
    return 128 + number


def report_error(
    error: Exception, config: str | None = None, words: Sequence[str] = ()
) -> int:
    """Print what was wrong; return the exit code."""
    if os.environ.get('MMASLP_TRACEBACK'):
        traceback.print_exception(error)
    mistake = is_mistake(error)
    doctor = f'mmaslp doctor {shlex.quote(config)}' if config else 'mmaslp doctor'
    text = describe(error, config)
    for word in words:  # a line break in a name is no line break of the message
        text = text.replace(word, shown(word)) if '\n' in word else text
    _say(f'{"error" if mistake else "failed"}: {text}')
    _say(f'(`{doctor}` looks for causes; MMASLP_TRACEBACK=1 shows where it was raised)')
    return REFUSED if mistake else FAILED


def exit_on_user_error(main: Callable) -> Callable:
    """Decorate a script's ``main``: it ends as a command does."""

    @wraps(main)
    def run(*args: Any, **kwargs: Any) -> None:
        code = exit_code_of(lambda: main(*args, **kwargs))
        if code:
            sys.exit(code)

    return run


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


def _whole_files() -> str:
    return 'files that were written are whole; the same command starts again'


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr)
