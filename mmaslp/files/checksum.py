"""Checksums of files, folders and masks."""

import hashlib
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from torch import Tensor


def mask_checksum(label: np.ndarray | Tensor) -> int:
    """CRC-32 of a mask: of its size and its labels as bytes."""
    array = (
        label.byte().cpu().numpy() if isinstance(label, Tensor) else np.asarray(label)
    )
    size = zlib.crc32(str(array.shape).encode())
    return zlib.crc32(np.ascontiguousarray(array, np.uint8), size)


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def sha256_of_files(paths: Iterable[Path]) -> str:
    """SHA-256 of several files; their order and folder do not count.

    It is that of the lines ``{SHA-256}  {name}``, sorted by name, as ``sha256sum``
    prints them in the folder: ``sha256sum * | sha256sum``.
    """
    lines = (f'{sha256_of(path)}  {path.name}\n' for path in sorted(paths))
    return hashlib.sha256(''.join(lines).encode(errors='surrogateescape')).hexdigest()
