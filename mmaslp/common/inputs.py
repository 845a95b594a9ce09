"""Files that are read: nothing waits for a pipe, and a size is looked at before."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

# Most bytes of a file, or of what it unpacks to; larger maps are cut into several.
MAX_BYTES = 2**31
# Most bytes of a text: a config, a list of names, a description.
MOST_TEXT = 2**24
# Bytes of a file that are read at a time, where it may be larger than the memory.
_BLOCK = 2**20


def check_file(path: str | Path, most: int = MAX_BYTES) -> None:
    """Refuse a folder, a pipe or a device, and a file of more than ``most`` bytes."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f'{path}: not a file (a folder, a pipe or a device): name one')
    if os.path.exists(path) and os.path.getsize(path) > most:
        raise ValueError(
            f'{path}: has more than {most:,} bytes, the most that is read: is it the '
            'right file?'
        )


def read_file(path: str | Path, most: int = MAX_BYTES) -> bytes:
    """Read a file after :func:`check_file`; an OSError names it, also of the disk."""
    check_file(path, most)
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


@dataclass(frozen=True)
class Stamp:
    """What changes when a file does: its place on the disk, time and size."""

    device: int
    number: int
    time: int
    size: int


def stamp_of(path: str | Path) -> Stamp | None:
    """The stamp of a file; None if there is none."""
    if not os.path.isfile(path):
        return None
    status = os.stat(path)
    return Stamp(status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)


def check_unpacked(size: int, packed: int) -> None:
    """Refuse a decompression bomb, by its bytes, before it is unpacked."""
    ratio = size / max(packed, 1)
    if size > MAX_BYTES and ratio > 200:
        raise ValueError(
            f'it unpacks to {size:,} bytes, {ratio:.0f} times its size, as no sound '
            'file does'
        )


@contextmanager
def naming(what: object) -> Iterator[None]:
    """Let a ValueError begin with the file or image that it is about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f'{what}: {str(error).removeprefix(f"{what}: ")}') from error


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits; a block at a time is in memory."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(partial(file.read, _BLOCK), b''):
            digest.update(block)
    return digest.hexdigest()
