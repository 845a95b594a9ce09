"""Checksums of files and folders."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

__all__ = ['sha256_of', 'sha256_of_files']


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits.

    Args:
        path (str | Path): The file; it is read in pieces.
    """
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def sha256_of_files(paths: Iterable[Path]) -> str:
    """SHA-256 of several files; their order and folder do not count.

    It is that of the lines ``{SHA-256}  {name}``, sorted by name, as ``sha256sum``
    prints them in the folder: ``sha256sum * | sha256sum``.

    Args:
        paths (Iterable[Path]): The files.
    """
    lines = (f'{sha256_of(path)}  {path.name}\n' for path in sorted(paths))
    return hashlib.sha256(''.join(lines).encode(errors='surrogateescape')).hexdigest()
