"""Output files: the one rule that decides about each of them, and the one writer.

An existing file is replaced only if the user asks for it, and an input never. Commands
and hooks ask :func:`check_outputs` about all their outputs before the work starts, and
:func:`write_output` asks again when it writes.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from .arguments import check_bool, check_path


def check_outputs(
    outputs: Mapping[str, str | Path | Iterable[str | Path] | None],
    inputs: Iterable[str | Path | None] = (),
    overwrite: bool = False,
) -> None:
    """Refuse, before the work starts, outputs that would cost the user a file.

    Paths are compared as files: links, hard links and relative names are resolved.

    Args:
        outputs (Mapping): By the option that names it a file, several of them, or None
            where it is not given.
        inputs (Iterable): Files and folders that are read. No output may be one of
            them, or lie in one.
        overwrite (bool): Whether other existing files may be replaced.

    Raises:
        FileExistsError: A file is there already.
        ValueError: An output is an input or a folder, or cannot be written to, or two
            of them are the same file.
    """
    read = {_identity(_expanded(path)): path for path in inputs if path}
    seen: dict[object, str] = {}
    folders = set()
    for option, given in outputs.items():
        several = [given] if isinstance(given, (str, Path)) else given or []
        for path in map(_expanded, several):
            name = f'{option} {path}'
            if os.path.isdir(path) or str(given).endswith(os.sep):
                raise ValueError(f'{name} is a folder: name a file')
            if _is_stream(path):
                continue
            # Tables: only --report is a page.
            if path.suffix.lower() in ('.html', '.htm') and (
                option in ('--out', '--objects', '--coco', '--json', '--review')
            ):
                raise ValueError(f'{name} is not a page: --report writes one')

            if (identity := _identity(path)) in read:
                raise ValueError(f'{name} is an input: it would be lost')
            if identity in seen:
                raise ValueError(
                    f'{option}: two images would be the file {path}: rename one'
                    if seen[identity] == option
                    else f'{seen[identity]} and {option} are the same file, {path}: '
                    'name two files'
                )
            seen[identity] = option
            if (folder := _real(path).parent) not in folders:
                _check_folder(folder, read, name)
                folders.add(folder)
            check_output(path, overwrite, option)


def check_output(path: str | Path, overwrite: bool = False, name: str = '') -> None:
    """Refuse to replace a file, or a link, unless that was asked for.

    An empty file, and what is not a file (/dev/null, a pipe), may be written to.
    """
    check_bool('overwrite', overwrite)
    path = _expanded(path)
    if path.is_dir():
        raise ValueError(f'{name} {path} is a folder: name a file'.lstrip())
    empty = path.is_file() and not path.is_symlink() and not path.stat().st_size
    if overwrite or empty or _is_stream(path) or not os.path.lexists(path):
        return
    raise FileExistsError(
        f'{name} {path} is there already: replace it with --overwrite (in Python '
        'overwrite=True), or name another'.lstrip()
    )


def write_output(
    path: str | Path, content: str | bytes | memoryview, overwrite: bool = False
) -> None:
    """Write a file in one step.

    It is written under another name beside it, then renamed. If the process ends before
    that, or the disk is full, an existing file stays unchanged and no part of the new
    one is left. A file that is replaced keeps its mode and group, and a link leads to
    the new content. A path that is not a file, such as /dev/null, is written to
    directly.

    Raises:
        FileExistsError: A file is there already, and ``overwrite`` is False.
        OSError: It cannot be written; names the file.
    """
    data = content.encode() if isinstance(content, str) else content
    target = Path(check_path('path', path))
    check_output(target, overwrite)

    try:
        if _is_stream(target):
            # Else it would wait for ever for somebody who reads a pipe.
            number = os.open(target, os.O_WRONLY | os.O_NONBLOCK)
            os.set_blocking(number, True)
            with open(number, 'wb') as file:
                file.write(data)
        else:
            _replace(_real(target), data)
    except OSError as error:
        # Of the system it would name the part, or nothing.
        raise OSError(
            error.errno, f'cannot be written ({error.strerror})', str(path)
        ) from error


def _replace(target: Path, data: bytes | memoryview) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Hidden, so that no part that a killed process leaves counts as a map.
    number, name = tempfile.mkstemp('.part', '.mmaslp.', target.parent)
    part = Path(name)
    try:
        with open(number, 'wb') as file:
            file.write(data)
        _take_mode(part, target)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _take_mode(part: Path, target: Path) -> None:
    """Give a part the owner, group and mode of what it replaces, or the usual mode."""
    if target.exists():
        there = target.stat()
        with suppress(PermissionError):  # of a group that the user is not in
            os.chown(part, there.st_uid, there.st_gid)
        shutil.copymode(target, part)
    else:
        mask = os.umask(0)
        os.umask(mask)
        part.chmod(0o666 & ~mask)


def _check_folder(folder: Path, read: Mapping[object, object], name: str) -> None:
    """Refuse a folder that is read, lies in one, or cannot be written to."""
    places = (folder, *folder.parents)
    if other := next(filter(None, map(read.get, map(_identity, places))), None):
        raise ValueError(f'{name} lies in {other}, which is read: write elsewhere')
    place = next(place for place in places if os.path.lexists(place))
    if not os.path.isdir(place) or not os.access(place, os.W_OK):
        raise ValueError(f'{name}: {place} is not a folder that can be written to')


def _expanded(path: str | Path) -> Path:
    # Path.expanduser() raises where there is no such user.
    return Path(os.path.expanduser(path))


def _is_stream(path: Path) -> bool:
    """Whether it is there and neither a file nor a folder: /dev/null, a pipe."""
    return os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))


def _identity(path: Path) -> object:
    """The same for all names of one file or folder, also by links."""
    try:
        status = path.stat()
    except OSError:  # it does not exist
        return _real(path)
    return status.st_dev, status.st_ino


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # resolve() raises on a loop of links
