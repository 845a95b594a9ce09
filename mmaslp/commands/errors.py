"""How a command ends: exit codes, and one message instead of a traceback."""

import errno
import os
import re
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from types import FrameType
from typing import NamedTuple

from ..common.mistakes import is_about_config
from ..files.names import printable

DONE = 0
FAILED = 1
REFUSED = 2

# MMEngine's registries make objects of parts of a config here, some of them late.
_BUILDER = 'mmengine.registry.build_functions'
# What a worker of a data loader puts before the message of its error.
_OF_WORKER = re.compile(r'Caught \w+ in .*Original Traceback.*\n[\w.]+: ', re.DOTALL)
_MAX_LENGTH = 500
_QUOTES = '\'"'
# What libraries mean by their words.
_MEANINGS = {
    r'PytorchStreamWriter failed|unexpected pos \d+ vs \d+': (
        'a checkpoint could not be written: is the disk full?'
    ),
    'stack expects each tensor to be equal size|image size in a batch should be': (
        'images of a batch differ in size: add Resize or RandomCrop, or, to measure, '
        'set batch_size=1'
    ),
    'need at least one array to concatenate': 'a data set has no image',
    r'is already registered in \w+ at': (
        'two classes of one registry have the same name: rename your own, or register '
        'it with force=True'
    ),
    "cannot identify image file|in function 'imdecode": (
        'an image or a mask is empty or damaged: `mmaslp prepare FOLDER` names it'
    ),
}
# Arguments of functions, as messages name them in backquotes, that are options too.
_SAME_NAMES = """
amp cfg_options channel data images key levels logits masks max_false max_value
min_object_prob out out_prob overwrite report resume review sets show_dir
test_ratio trust_checkpoint tta val_list val_ratio work_dir
"""
OPTIONS = {name: f'--{name.replace("_", "-")}' for name in _SAME_NAMES.split()}
OPTIONS |= {
    'evals': '--eval',
    'keys': '--fail-if-worse',
    'limits': '--limit',
    'write_coco': '--coco',
    'write_volume': '--objects-out',
}
# Such as `logits=True`. Checks of arguments begin with the name alone: one word may be
# an argument of a part of the config, such as `seed`.
_ARGUMENT = re.compile(r'`(\w+)(?:=([^`]*))?`|^(\w+_\w+)(?= must be )')
# The types in a part of a config: other values may be secrets, such as keys.
_TYPES = re.compile(r"'type': '([\w.]+)")
_PACKAGE = Path(__file__).resolve().parents[1]


def exit_code_of(
    work: Callable[[], int | None],
    *,
    config: str | None = None,
    folder_of: Callable[[], str | None] = lambda: None,
    after_interrupt: Callable[[], str] | None = None,
) -> int:
    """Run a command; print one message if it raises; return the exit code.

    A mistake of the user gives 2 and says what to change, anything else 1. The message
    stands for the traceback, which names our code; ``MMASLP_TRACEBACK=1`` shows it too.
    Ctrl-C and SIGTERM give 128 and the number of the signal, as shells have it.
    ``folder_of`` tells what the command writes into.
    """
    try:
        # What schedulers send is as Ctrl-C.
        with raising(signal.SIGTERM, KeyboardInterrupt(signal.SIGTERM)):
            return work() or DONE
    except KeyboardInterrupt as stop:
        return interrupted(stop, after_interrupt)
    except BrokenPipeError:  # `mmaslp ... | head`: nobody reads any more
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        before = error.__context__  # MMEngine takes an interrupt for a bad config
        if isinstance(before, KeyboardInterrupt):
            return interrupted(before, after_interrupt)

        return _report(error, config, folder_of())


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


def interrupted(
    stop: KeyboardInterrupt, after_interrupt: Callable[[], str] | None
) -> int:
    """Say what an interruption leaves; return the exit code."""
    left = (
        'what was written is whole; the same command starts again, with --overwrite '
        'if a file is there already'
    )
    if after_interrupt is not None:
        left = after_interrupt()
    _say(f'interrupted: {left}')
    for value in stop.args:
        if isinstance(value, int):  # a codec puts a text there too
            return 128 + value
    return 128 + signal.SIGINT


def _report(error: Exception, config: str | None, folder: str | None) -> int:
    """Say what an error means and where to look further; return the exit code."""
    if os.environ.get('MMASLP_TRACEBACK'):
        traceback.print_exception(error)
    description = describe(error, config, folder)
    code = FAILED
    word = 'failed'
    if description.is_mistake:
        code = REFUSED
        word = 'error'
    _say(f'{word}: {description.text}')

    hint = 'MMASLP_TRACEBACK=1 shows where it was raised'
    is_of_files = isinstance(error, (FileNotFoundError, FileExistsError))
    if config and not is_of_files:
        hint = f'`mmaslp doctor {shlex.quote(config)}` looks for causes; {hint}'
    _say(f'({hint})')
    return code


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr)


class Description(NamedTuple):
    """Whether the input is wrong, rather than the package or machine, and what."""

    is_mistake: bool
    text: str


def describe(
    error: Exception, config: str | None = None, folder: str | None = None
) -> Description:
    """Say what an error means.

    Our own refusals are ValueErrors, and files and modules can be missing. What
    is raised while a part of the config is read or built is about the config, and what
    MMSegmentation asserts is about its input. ``folder`` is what the command writes
    into, for errors of the system that name no file.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return Description(True, _text_of_system(error, folder))

    text = _text_of(error)
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    inside = bool(frames) and _is_of_package(frames[-1])
    building = is_about_config(error) or any(map(_is_of_registry, frames))
    refused = isinstance(error, (ValueError, OSError, ImportError))
    if refused and (inside or not building):
        return Description(True, text)

    line = ' '.join(text.split())[:_MAX_LENGTH]
    if isinstance(error, AssertionError) and str(error) and not inside:
        return Description(True, f'{line}: MMSegmentation refuses it')
    failure = f'{type(error).__name__}: {line}'
    if building:
        failure = f'{config or "the config"} cannot be built: {failure}'
        part = _part_that_is_built(frames)
        if part is not None:
            failure += f' (in the part of {part})'
        return Description(True, failure)

    network = _part_of_network(frames)
    if network is not None:
        failure += f' (in {network} of the model)'
    return Description(False, failure)


def _text_of(error: Exception) -> str:
    """What an error says, with the meaning of the words of libraries."""
    text = str(error)
    if isinstance(error, KeyError) and error.args:  # its text is that of its key
        text = str(error.args[0])
    text = _OF_WORKER.sub('', text.strip()) or type(error).__name__
    text = with_options(text)
    for words, meaning in _MEANINGS.items():
        if re.search(words, text):
            text = f'{meaning} ({text})'
    return text


def with_options(text: str) -> str:
    """Name options of the commands where a message names arguments of Python.

    Such as --max-value for `max_value`, --masks keep for `masks='keep'`, and
    --overwrite for `overwrite=True`.
    """
    return _ARGUMENT.sub(_option_of, text)


def _option_of(argument: re.Match) -> str:
    name, value, first_word = argument.groups()
    option = OPTIONS.get(name or first_word)
    if option is None:
        return argument[0]
    if value is None or value == 'True':
        return option
    return f'{option} {value.strip(_QUOTES)}'


def _text_of_system(error: OSError, folder: str | None) -> str:
    """What the system says, after the files that it is about."""
    from ..common.outputs import OF_FULL_DISK  # here, since it imports NumPy

    words = []
    for name in (error.filename, error.filename2):
        if isinstance(name, (str, bytes, Path)):
            words.append(os.fsdecode(name))
    of_disk = (*OF_FULL_DISK, errno.EIO)  # which may name no file
    if not words and error.errno in of_disk and folder is not None:
        words.append(folder)
    words.append(error.strerror or 'it cannot be used')
    return ': '.join(words)


def _is_of_package(frame: FrameType) -> bool:
    return _PACKAGE in PurePath(frame.f_code.co_filename).parents


def _is_of_registry(frame: FrameType) -> bool:
    return frame.f_globals.get('__name__') == _BUILDER


# Packages whose layers are parts of a head or backbone that a config names.
_OF_LAYERS = ('torch.', 'mmcv.', 'mmengine.')


def _part_of_network(frames: Sequence[FrameType]) -> str | None:
    """Class of the part of a network, such as a head, in which an error was raised."""
    torch = sys.modules.get('torch')
    for frame in reversed(frames):
        part = frame.f_locals.get('self')
        if torch is None or not isinstance(part, torch.nn.Module):
            continue
        if not type(part).__module__.startswith(_OF_LAYERS):
            return type(part).__name__
    return None


def _part_that_is_built(frames: Sequence[FrameType]) -> str | None:
    """Types in the part of a config that MMEngine builds: its ``cfg``, a dict."""
    for frame in reversed(frames):
        part = frame.f_locals.get('cfg')
        if isinstance(part, dict):
            # The type of the part itself is named first.
            types = _TYPES.findall(str({'type': '', **part}))
            return ', '.join(types[:4])
    return None
