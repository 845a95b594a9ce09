"""What an error says to the user, and whether the user can mend it."""

import errno
import os
import re
import traceback
from pathlib import Path, PurePath
from types import CodeType

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


def is_mistake(error: Exception) -> bool:
    """Whether the input is wrong, rather than this package or the machine.

    Our own refusals are ValueErrors, and files and modules can be missing. What
    MMSegmentation raises while it builds a part of the config is about the config, and
    what it asserts is about its input.
    """
    if isinstance(error, (ValueError, OSError, ImportError)):
        return True
    return _is_of_mmseg(error) or _building(error)


def describe(error: Exception, config: str | None = None) -> str:
    """Say what was wrong."""
    if isinstance(error, OSError) and error.errno is not None:
        return _of_the_system(error)
    if isinstance(error, UnicodeEncodeError):
        word = error.object[: error.end].split('\n')[-1].split("'")[-1]
        return f'{word}: a name that is not UTF-8, which cannot be written: rename it'
    if isinstance(error, (ValueError, OSError, ImportError)) and _is_ours(error):
        return _text(error)
    if _is_of_mmseg(error):
        return f'{_one_line(error)}: MMSegmentation refuses it'
    text = f'{type(error).__name__}: {_one_line(error)}'
    if _building(error):
        return f'{config or "the config"} cannot be built: {text}'
    if 'out of memory' in text or "can't allocate memory" in text:
        return f'{text}: take a smaller batch_size, or smaller images'
    return text


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


def _one_line(error: Exception) -> str:
    text = ' '.join(_text(error).split())
    return text.split(_BOILERPLATE)[0][:_MAX_LENGTH]


def _codes(error: Exception) -> list[CodeType]:
    """The functions that were running, the innermost last."""
    return [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]


def _building(error: Exception) -> bool:
    codes = _codes(error)
    if any(_reads_config(code) for code in codes):
        return True
    inner = codes[-1] if codes else None
    return (
        inner is not None
        and inner.co_name in _LOOK_UPS
        and PurePath(inner.co_filename).match('mmengine/config/*.py')
    )


def _reads_config(code: CodeType) -> bool:
    """Whether a function builds parts of a config, or is one of our checks of it."""
    return bool(_BUILDERS.fullmatch(code.co_name)) or (
        _PACKAGE / 'hosts' / 'mmseg' / 'checks' in PurePath(code.co_filename).parents
    )


def _is_of_mmseg(error: Exception) -> bool:
    """Whether it is an assertion of MMSegmentation, with a message."""
    return isinstance(error, AssertionError) and bool(str(error)) and not _inside(error)


def _inside(error: Exception) -> bool:
    """Whether a function of this package raised it."""
    codes = _codes(error)
    return bool(codes) and _PACKAGE in PurePath(codes[-1].co_filename).parents


def _is_ours(error: Exception) -> bool:
    """Whether this package raised it, in this process or in one that loads data."""
    if _inside(error) or _WORKER.match(str(error)):
        return True
    return not _building(error)
