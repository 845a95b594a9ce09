"""Output files: the rule that decides about each of them, and the one writer.

An output replaces a file of its own kind only, and never an input. A link is neither
followed nor replaced. Commands and hooks ask :func:`check_outputs` before the work
starts, and :func:`write_output` asks again when it writes.
"""

import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

# Every probability map and picture of ours says so in a text chunk of its PNG.
MAP_MARK = ('Software', 'mmaslp')

# What every file of a kind contains, near its beginning or its end.
MARKS = {
    'result': b'"mmaslp result',
    'test': b'"mmaslp test',
    'calibrator': b'"mmaslp calibrator"',
    'drift': b'"mmaslp drift',
    'comparison': b'"mmaslp comparison',
    'report': b'<meta name="generator" content="mmaslp">',
    'diagram': b'diagram of mmaslp',
    'picture': b'\0'.join(part.encode() for part in MAP_MARK),
    'levels': b'img_path,alpha',
    'review': b'image,score,dice,dice_low',
    'objects': b'image,object,probability,area',
    'log': b'$ mmaslp ',
    'config': b'# Config of a run of mmaslp',
}
_END = 2**16  # bytes of each end in which a mark lies


def check_outputs(
    outputs: Mapping[str, tuple[str | Path | None, str]],
    inputs: Iterable[str | Path | None] = (),
    make_folders: bool = False,
) -> None:
    """Refuse, before the work starts, outputs that would cost the user a file.

    ``outputs`` are path and kind of file by the option that names them. Paths are
    compared as files: links, hard links and relative names are resolved.
    """
    read = [Path(path).expanduser() for path in inputs if path]
    seen: dict[Path, str] = {}
    for name, (given, kind) in outputs.items():
        path = Path(given or os.devnull).expanduser()
        if path.exists() and not path.is_file() and not path.is_dir():
            continue  # /dev/null, a pipe

        folder = _real(path).parent
        if path.is_dir():
            raise ValueError(f'{name} {path} is a folder: name a file')
        if not make_folders and not folder.is_dir():
            raise ValueError(f'{name} {path}: its folder does not exist')

        for other in read:
            if _same(path, other):
                raise ValueError(f'{name} {path} is an input: it would be lost')
            if other.is_dir() and folder == _real(other):
                raise ValueError(
                    f'{name} {path} lies in {other}, which is read: write elsewhere'
                )
        for earlier, option in seen.items():
            if _same(path, earlier):
                raise ValueError(
                    f'{option} and {name} are the same file, {path}: name two files'
                )

        check_output(path, kind, name)
        seen[path] = name


def check_folder(
    path: str | Path | None, inputs: Iterable[str | Path], name: str
) -> None:
    """Refuse an output folder that is read, lies in one that is, or is a file."""
    if path is None:
        return
    folder = Path(path).expanduser()
    if folder.exists() and not folder.is_dir():
        raise ValueError(f'{name} {path} is a file: name a folder')

    for other in map(Path, inputs):
        if _same(folder, other):
            raise ValueError(
                f'{name} {path} is the folder of the inputs {other}, which would be '
                'lost: write to another one'
            )
        if _real(other) in _real(folder).parents:
            raise ValueError(
                f'{name} {path} lies in {other}, which is read, and would be read with '
                'it the next time: write elsewhere'
            )


def check_output(path: str | Path, kind: str | None, name: str = '') -> None:
    """Refuse to replace a file that lacks the mark of its kind, or a link.

    An empty file, and what is not a file (/dev/null, a pipe), may be written to. Kind
    None has no mark: such an output replaces nothing.
    """
    path = Path(path).expanduser()
    if path.is_symlink() and (path.is_file() or not path.exists()):
        raise ValueError(f'{name} {path} is a link: name a file'.lstrip())
    if not path.is_file() or not path.stat().st_size:
        return

    if kind is None:
        raise ValueError(
            f'{name} {path} is there already and would be lost: remove it, or name '
            'another'.lstrip()
        )
    if not _has_mark(path, MARKS[kind]):
        raise ValueError(
            f'{name} {path}: the file that is there is not a {kind} of this version of '
            'mmaslp and would be lost: name another one, or remove it'.lstrip()
        )


def write_output(
    path: str | Path, content: str | bytes | memoryview, kind: str | None
) -> None:
    """Write a file in one step; ValueError if it would replace one of another kind.

    It is written under another name beside it, then renamed. If the process ends before
    that, or the disk is full, an existing file stays unchanged and no part of the new
    one is left. A path that is not a file, such as /dev/null, is written to directly.
    Of kind None, a file of the same content stays as it is.
    """
    data = content.encode() if isinstance(content, str) else content
    target = Path(path).expanduser()
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return
        if kind is None and _holds(target, data):
            return
        check_output(target, kind)
        _replace(target, data)
    except OSError as error:
        # Of the system it would name the part, or nothing.
        reason = f'cannot be written ({error.strerror})'
        raise OSError(error.errno, reason, str(path)) from error


def _replace(target: Path, data: bytes | memoryview) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Hidden, so that no part that a killed process leaves counts as a map.
    part = target.with_name(f'.mmaslp.{os.getpid()}.{threading.get_ident()}.part')
    try:
        part.write_bytes(data)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _holds(path: Path, data: bytes | memoryview) -> bool:
    """Whether a file holds these bytes; a link does not."""
    same_size = path.is_file() and path.stat().st_size == len(data)
    return same_size and not path.is_symlink() and path.read_bytes() == data


def _has_mark(path: Path, mark: bytes) -> bool:
    with open(path, 'rb') as file:
        if mark in file.read(_END):
            return True
        file.seek(max(0, path.stat().st_size - _END))
        return mark in file.read(_END)


def _same(one: Path, other: Path) -> bool:
    """Whether two paths are one file or folder, also by links."""
    try:
        return os.path.samefile(one, other)
    except OSError:  # one of them does not exist
        return _real(one) == _real(other)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # resolve() raises on a loop of links
