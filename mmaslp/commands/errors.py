"""How a command ends: exit codes, and one message instead of a traceback."""

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
from types import FrameType

from ..files.names import printable

DONE = 0
FAILED = 1
REFUSED = 2

# The functions of MMEngine that make objects of what a config says, and those of ours
# that read its settings before.
_BUILDERS = re.compile(
    r'build_\w+|from_cfg|config_of_run|name_run|prepare_training|'
    r'sets_of_test|calibrator_of_test|_config_of_run'
)
# What a worker of a data loader puts before the message of its error.
_OF_WORKER = re.compile(r'Caught \w+ in .*Original Traceback.*\n[\w.]+: ', re.DOTALL)
_MAX_LENGTH = 500
# What libraries mean by their words.
_MEANINGS = {
    'stack expects each tensor to be equal size': (
        'images of a batch differ in size: add Resize or RandomCrop'
    ),
    'need at least one array to concatenate': 'a data set has no image',
    "cannot identify image file|in function 'imdecode": (
        'an image or a mask is empty or damaged: `mmaslp prepare FOLDER` names it'
    ),
}
# The types in a part of a config: other values may be secrets, such as keys.
_TYPES = re.compile(r"'type': '([\w.]+)")
_PACKAGE = Path(__file__).resolve().parents[1]


def exit_code_of(
    work: Callable[[], int | None],
    *,
    config: str | None = None,
    after_interrupt: Callable[[], str] | None = None,
) -> int:
    """Run a command; print one message if it raises; return the exit code.

    A mistake of the user gives 2 and says what to change, anything else 1. The message
    stands for the traceback, which names our code; ``MMASLP_TRACEBACK=1`` shows it too.
    Ctrl-C and SIGTERM give 128 and the number of the signal, as shells have it.
    """
    try:
        # What schedulers send is as Ctrl-C.
        with raising(signal.SIGTERM, KeyboardInterrupt(signal.SIGTERM)):
            return work() or DONE
    except KeyboardInterrupt as stop:
        return _interrupted(stop, after_interrupt)
    except BrokenPipeError:  # `mmaslp ... | head`: nobody reads any more
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        before = error.__context__  # MMEngine takes an interrupt for a bad config
        if isinstance(before, KeyboardInterrupt):
            return _interrupted(before, after_interrupt)

        if os.environ.get('MMASLP_TRACEBACK'):
            traceback.print_exception(error)
        mistake, text = describe(error, config)
        doctor = (
            f'`mmaslp doctor {shlex.quote(config)}` looks for causes; '
            if config and not isinstance(error, FileNotFoundError)
            else ''
        )
        _say(f'{"error" if mistake else "failed"}: {text}')
        _say(f'({doctor}MMASLP_TRACEBACK=1 shows where it was raised)')
        return REFUSED if mistake else FAILED


@contextmanager
def raising(number: int, error: BaseException, seconds: int = 0) -> Iterator[None]:
    """Let a signal raise an error; send SIGALRM after some seconds."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise error

    before = signal.signal(number, stop)
    try:
        if seconds:
            signal.alarm(seconds)
        yield
    finally:
        if seconds:
            signal.alarm(0)
        signal.signal(number, before)


def _interrupted(
    stop: KeyboardInterrupt, after_interrupt: Callable[[], str] | None
) -> int:
    whole = 'files that were written are whole; with --overwrite it starts again'
    _say(f'interrupted: {after_interrupt() if after_interrupt else whole}')
    # A codec puts a text into the interrupt that it was in.
    numbers = [value for value in stop.args if isinstance(value, int)]
    return 128 + (numbers[0] if numbers else signal.SIGINT)


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr)


def describe(error: Exception, config: str | None = None) -> tuple[bool, str]:
    """Say whether the input is wrong, rather than the package or machine, and what.

    Our own refusals are ValueErrors, and files and modules can be missing. What
    is raised while a part of the config is read or built is about the config, and what
    MMSegmentation asserts is about its input.
    """
    # The text of a KeyError is that of its key.
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    text = _OF_WORKER.sub('', text.strip()) or type(error).__name__
    for words, meaning in _MEANINGS.items():
        if re.search(words, text):
            text = f'{meaning} ({text})'
    if isinstance(error, OSError) and error.errno is not None:
        names = [
            os.fsdecode(name)
            for name in (error.filename, error.filename2)
            if isinstance(name, (str, bytes, Path))
        ]
        return True, ': '.join([*names, error.strerror or 'it cannot be used'])

    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    inside = (
        bool(frames) and _PACKAGE in PurePath(frames[-1].f_code.co_filename).parents
    )
    building = any(_BUILDERS.fullmatch(frame.f_code.co_name) for frame in frames)
    refused = isinstance(error, (ValueError, OSError, ImportError))
    if refused and (inside or not building):
        return True, text

    line = ' '.join(text.split())[:_MAX_LENGTH]
    if isinstance(error, AssertionError) and str(error) and not inside:
        return True, f'{line}: MMSegmentation refuses it'
    place = f'{config or "the config"} cannot be built: ' if building else ''
    # What MMEngine builds is its `cfg`, a dict, whose own type is named first.
    parts = (
        f' (in the part of {", ".join(_TYPES.findall(str({"type": "", **given}))[:4])})'
        for frame in reversed(frames)
        if building and isinstance(given := frame.f_locals.get('cfg'), dict)
    )
    return building, f'{place}{type(error).__name__}: {line}{next(parts, "")}'
