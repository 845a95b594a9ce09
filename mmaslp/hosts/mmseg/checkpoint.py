"""The files of checkpoints: whole ones, damaged ones, and the newest of a folder."""

import os
import os.path as osp
import re
import zipfile
from contextlib import suppress

from .safe_loading import load_safely

# torch.save compresses nothing. An archive that unpacks to this many times its size,
# and to more bytes than these, is a decompression bomb.
MAX_RATIO = 4
MAX_SMALL = 2**26
_NUMBERED = re.compile(r'(?:epoch|iter)_(\d+)\.pth')


def check_checkpoint(path: str, trust: bool = False) -> None:
    """Make sure that a checkpoint is undamaged and runs no code, before it is used.

    Every member of the archive is compared with its checksum, and the file is read by
    ``load_safely``, with its tensors mapped rather than read.
    """
    path = osp.expanduser(path)
    if '://' in path:
        return
    parts = [path]
    if osp.isdir(path):
        names = sorted(n for n in os.listdir(path) if n.endswith(('.pth', '.pt')))
        parts = [osp.join(path, name) for name in names]
    for part in parts:
        if not osp.isfile(part):
            raise FileNotFoundError(f'no checkpoint at {osp.abspath(part)}')
        _check_file(part, trust)


def numbered_checkpoints(folder: str) -> list[str]:
    """List the checkpoints ``epoch_N.pth`` and ``iter_N.pth``, the latest first."""
    names = os.listdir(folder) if osp.isdir(folder) else []
    found = [match for match in map(_NUMBERED.fullmatch, names) if match]
    found.sort(key=lambda match: int(match[1]), reverse=True)
    return [osp.join(folder, match[0]) for match in found]


def newest_checkpoint(folder: str, trust: bool = False) -> str | None:
    """Find the latest checkpoint of a work directory that is whole and runs no code."""
    for path in numbered_checkpoints(folder):
        with suppress(ValueError, OSError):
            _check_file(path, trust)
            return path
    return None


def _check_file(path: str, trust: bool) -> None:
    if trust:
        return
    reason = _damage(path)
    if reason is not None:
        raise ValueError(f'{path} is damaged ({reason})')
    checkpoint = load_safely(path, mmap=zipfile.is_zipfile(path))
    if not isinstance(checkpoint, dict):
        kind = type(checkpoint).__name__
        raise ValueError(f'{path} holds a {kind}, and a checkpoint is a dict')


def _damage(path: str) -> str | None:
    """Say what is wrong with the container of a checkpoint, before it is loaded."""
    with open(path, 'rb') as file:
        head = file.read(4)
    if not head:
        return 'it is empty'
    if head != b'PK\x03\x04':
        return None if head[:1] == b'\x80' else 'it is not a torch checkpoint'
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > max(MAX_SMALL, MAX_RATIO * osp.getsize(path)):
                return f'it unpacks to {size:,} bytes, as no checkpoint does'
            broken = archive.testzip()
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError):
        return 'it is cut short'
    return None if broken is None else f'{broken} fails its checksum'
