"""Files that are read: nothing waits for a pipe, and a size is looked at before."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Most bytes of a file, or of what it unpacks to; larger maps are cut into several.
MAX_BYTES = 2**31
# Most bytes of a text: a config, a list of names, a description.
MOST_TEXT = 2**24


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
    """SHA-256 of a file, as 64 hexadecimal digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
