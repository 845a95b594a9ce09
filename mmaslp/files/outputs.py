"""The rule of all outputs: none is an input, nor replaces a file of another kind."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

# Every probability map and picture of ours says so in a text chunk of its PNG.
MAP_MARK = ('Software', 'mmaslp')

# What every file of a kind contains.
_MARKS = {
    'result': b'"mmaslp result',
    'calibrator': b'"mmaslp calibrator"',
    'comparison': b'"mmaslp comparison"',
    'report': b'<meta name="generator" content="mmaslp">',
    'diagram': b'diagram of mmaslp',
    'picture': b'\0'.join(part.encode() for part in MAP_MARK),
    'levels': b'img_path,alpha',
}
_MOST = 2**24  # bytes in which a mark lies


def check_outputs(
    outputs: Mapping[str, tuple[str | Path | None, str]],
    inputs: Iterable[str | Path | None] = (),
    make_folders: bool = False,
) -> None:
    """Refuse, before the work starts, outputs that would cost the user a file.

    Paths are compared as files: links, hard links and relative names are resolved.
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
        check_kind(path, kind, name)
        seen[path] = name


def check_folder(
    path: str | Path | None, inputs: Iterable[str | Path], name: str
) -> None:
    """Refuse an output folder that is read, or that is a file."""
    if path is None:
        return
    folder = Path(path).expanduser()
    if folder.exists() and not folder.is_dir():
        raise ValueError(f'{name} {path} is a file: name a folder')
    for other in inputs:
        if _same(folder, Path(other)):
            raise ValueError(
                f'{name} {path} is the folder of the inputs {other}, which would be '
                'lost: write to another one'
            )


def check_kind(path: str | Path, kind: str, name: str = '') -> None:
    """Refuse to replace a file that lacks the mark of its kind.

    An empty file, and what is not a file (/dev/null, a pipe), may be written to.
    """
    path = Path(path).expanduser()
    if not path.is_file() or not path.stat().st_size:
        return
    with open(path, 'rb') as file:
        if _MARKS[kind] in file.read(_MOST):
            return
    raise ValueError(
        f'{name} {path}: the file that is there is not a {kind} of this version of '
        'mmaslp and would be lost: name another one, or remove it'.lstrip()
    )


def _same(one: Path, other: Path) -> bool:
    """Whether two paths are one file or folder, also by links."""
    try:
        return os.path.samefile(one, other)
    except OSError:  # one of them does not exist
        return _real(one) == _real(other)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # resolve() raises on a loop of links
