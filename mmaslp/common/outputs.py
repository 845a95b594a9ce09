"""Output files: the one rule that decides about each of them, and the one writer.

An existing file is replaced only if the user asks for it, and an input never. Commands
and hooks ask :func:`check_outputs` about all their outputs before the work starts, and
:func:`write_output` asks again when it writes.
"""

import errno
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from .arguments import check_bool, check_path

_BINARY = getattr(os, 'O_BINARY', 0)  # Windows alone has it
# Errors of a disk that takes no more; reading raises none of them.
OF_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def check_outputs(
    outputs: Mapping[str, str | Path | Iterable[str | Path] | None],
    inputs: Iterable[str | Path | None] = (),
    overwrite: bool = False,
) -> None:
    """Refuse, before the work starts, outputs that would cost the user a file.

    Paths are compared as files: links, hard links and relative names are resolved.

    Args:
        outputs (Mapping): By what names it for the user, such as an argument, a file,
            several of them, or None where it is not given.
        inputs (Iterable): Files and folders that are read. No output may be one of
            them, or lie in one.
        overwrite (bool): Whether other existing files may be replaced.

    Raises:
        FileExistsError: A file is there already.
        ValueError: An output is an input or a folder, or cannot be written to, or two
            of them are the same file.
    """
    read = {_identity(_path_of(path)): path for path in inputs if path}
    first_name: dict[object, str] = {}  # by the file that it names
    folders: set[Path] = set()  # that were checked
    for option, path in _listed(outputs):
        name = f'{option} {path}'
        if os.path.isdir(path):
            raise ValueError(f'{name} is a folder: name a file')
        if _is_stream(path):
            continue

        identity = _identity(path)
        if identity in read:
            raise ValueError(
                f'{name} is an input: name another file, or it would be lost'
            )
        if identity in first_name:
            raise ValueError(_same_file(first_name[identity], option, path))
        first_name[identity] = option

        folder = _real(path).parent
        if folder not in folders:
            _check_folder(folder, read, name)
            folders.add(folder)
        check_output(path, overwrite, option)


def _listed(
    outputs: Mapping[str, str | Path | Iterable[str | Path] | None],
) -> Iterator[tuple[str, Path]]:
    """Each output with its option; what ends as the name of a folder is refused."""
    for option, value in outputs.items():
        if value is None:
            continue
        if isinstance(value, (str, Path)):
            value = [value]
        for path in value:
            expanded = _path_of(path, option)
            if str(path).endswith(os.sep):
                raise ValueError(f'{option} {expanded} is a folder: name a file')
            yield option, expanded


def _same_file(one: str, other: str, path: Path) -> str:
    """Say that two outputs are one file."""
    if one == other:
        return f'{one}: two images would be the file {path}: rename one'
    return f'{one} and {other} are the same file, {path}: name two files'


def check_output(path: str | Path, overwrite: bool = False, name: str = '') -> None:
    """Refuse to replace a file, or a link, unless that was asked for.

    An empty file, and what is not a file (/dev/null, a pipe), may be written to.
    """
    check_bool('overwrite', overwrite)
    path = _path_of(path, name)
    if path.is_dir():
        raise ValueError(f'{name} {path} is a folder: name a file'.lstrip())
    empty = path.is_file() and not path.is_symlink() and not path.stat().st_size
    if overwrite or empty or _is_stream(path) or not os.path.lexists(path):
        return
    raise FileExistsError(
        f'{name} {path} exists already: replace it with `overwrite=True`, or name '
        'another'.lstrip()
    )


def write_output(
    path: str | Path, content: str | bytes | memoryview, overwrite: bool = False
) -> None:
    """Write a file in one step.

    It is written under another name beside it, then renamed. Of several processes that
    write one file without ``overwrite``, one succeeds. If the process ends before
    that, or the disk is full, an existing file stays unchanged and no part of the new
    one is left. A file that is replaced keeps its mode and group, and a link leads to
    the new content. A path that is not a file, such as /dev/null, is written to
    directly.

    Raises:
        FileExistsError: A file is there already, and ``overwrite`` is False.
        OSError: It cannot be written; names the file.
    """
    if isinstance(content, str):
        content = content.encode()
    target = _path_of(path)
    check_output(target, overwrite)

    with _naming(path):
        if _is_stream(target):
            # Else it would wait for ever for somebody who reads a pipe.
            number = os.open(target, os.O_WRONLY | os.O_NONBLOCK)
            os.set_blocking(number, True)
            with open(number, 'wb') as file:
                file.write(content)
        else:
            _replace(target, content, overwrite)


def move_output(part: Path, path: str | Path, overwrite: bool = False) -> None:
    """Move a file that is whole to an output, as :func:`write_output` writes one.

    Raises:
        FileExistsError: A file is there already, and ``overwrite`` is False.
        OSError: It cannot be written; names the output.
    """
    target = _path_of(path)
    check_output(target, overwrite)
    if _is_stream(target) or not _on_one_disk(part, _real(target)):
        write_output(target, part.read_bytes(), overwrite)
        part.unlink()
        return

    with _naming(path), _folder_of(_real(target)):
        _put(part, target, overwrite)


@contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """Name an output where the system would name the part, or nothing."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # a refusal, which names the output
            raise
        raise OSError(
            error.errno, f'cannot be written ({error.strerror})', str(path)
        ) from error


def _on_one_disk(part: Path, target: Path) -> bool:
    """Whether a file can be renamed to a target: not from one disk to another one."""
    there = next(folder for folder in target.parents if folder.exists())
    return part.stat().st_dev == there.stat().st_dev


def _replace(target: Path, data: bytes | memoryview, overwrite: bool) -> None:
    real = _real(target)
    # Hidden, so that no part that a killed process leaves counts as a map.
    part = real.with_name(f'.mmaslp.{secrets.token_hex(8)}.part')
    # The system takes the usual mask from the mode of a new file.
    mode = 0o600 if real.exists() else 0o666
    with _folder_of(real):
        try:
            number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode)
            with open(number, 'wb') as file:
                file.write(data)
            _put(part, target, overwrite)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def _folder_of(target: Path) -> Iterator[None]:
    """Make the folder of a file, which goes if the file does not come."""
    folders = (target.parent, *target.parent.parents)
    new_folders = [folder for folder in folders if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for folder in new_folders:
            with suppress(OSError):  # it holds the file, or another one
                folder.rmdir()


def _put(part: Path, target: Path, overwrite: bool) -> None:
    """Give a part the name of its target, which another process may have taken."""
    real = _real(target)
    if not overwrite and _linked(part, real):
        part.unlink()
        return

    check_output(target, overwrite)
    if real.exists():
        _take_mode(part, real)
    part.replace(real)


def _linked(part: Path, target: Path) -> bool:
    """Link a part to a target; False if that exists, or the disk has no hard links."""
    try:
        os.link(part, target)
    except OSError:
        return False
    return True


def _take_mode(part: Path, target: Path) -> None:
    """Give a part the owner, group and mode of what it replaces."""
    there = target.stat()
    with suppress(PermissionError):  # of a group that the user is not in
        os.chown(part, there.st_uid, there.st_gid)
    shutil.copymode(target, part)


def resolved_folder(path: str | Path) -> Path:
    """Absolute path of a folder of outputs, without ``..``.

    What is written beside it, under its name, lies beside the folder that is meant. A
    link stays one, unless ``..`` comes after it.
    """
    folder = _path_of(path).absolute()
    if '..' in folder.parts:
        return _real(folder)
    return folder


def _check_folder(folder: Path, read: Mapping[object, str | Path], name: str) -> None:
    """Refuse a folder that is read, is in one, or cannot be written to."""
    folders = [folder, *folder.parents]
    for above in folders:
        identity = _identity(above)
        if identity in read:
            raise ValueError(
                f'{name} is in {read[identity]}, which is read: write elsewhere'
            )
    there = next(above for above in folders if os.path.lexists(above))
    if not os.path.isdir(there) or not os.access(there, os.W_OK):
        raise ValueError(f'{name}: {there} is not a folder that can be written to')


def _path_of(path: str | Path, name: str = '') -> Path:
    return Path(check_path(name or 'path', path))


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
