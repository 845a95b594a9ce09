"""Checksums of files and masks."""

import hashlib
import zlib
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
