"""Safe loading of MMEngine's checkpoints on torch >= 2.6, and the state of a file."""

import os
import os.path as osp
import re
import zipfile
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

__all__ = [
    'ADMITTED',
    'admits_by_name',
    'allow_history_buffers',
    'damage',
    'numbered_checkpoints',
]

_METHODS = ('min', 'max', 'mean', 'current')
# torch.save compresses nothing. An archive that unpacks to this many times its size,
# and to more bytes than these, is a decompression bomb.
MAX_RATIO = 4
MAX_SMALL = 2**26
_NUMBERED = re.compile(r'(?:epoch|iter)_(\d+)\.pth')


def _statistic(owner, name: str):
    # Replaces builtins.getattr, which the pickle of a HistoryBuffer calls: it looks up
    # only the four statistics of that class.
    if owner is HistoryBuffer and name in _METHODS:
        return getattr(owner, name)
    raise ValueError(f'the checkpoint asks for the attribute {name!r} of {owner!r}')


def _admitted() -> dict[str, Any]:
    multiarray = (getattr(np, '_core', None) or np.core).multiarray
    kinds = ('f2', 'f4', 'f8', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', '?')
    dtypes = {type(np.dtype(kind)) for kind in kinds}
    names = {
        f'{HistoryBuffer.__module__}.HistoryBuffer': HistoryBuffer,
        'builtins.getattr': _statistic,
        'numpy.ndarray': np.ndarray,
        'numpy.dtype': np.dtype,
        **{f'{dtype.__module__}.{dtype.__name__}': dtype for dtype in dtypes},
    }
    for package in ('numpy._core', 'numpy.core'):  # numpy 2 and 1
        for name in ('_reconstruct', 'scalar'):
            names[f'{package}.multiarray.{name}'] = getattr(multiarray, name)
    return names


# From the full name in a pickle to what stands for it: the log that MMEngine saves.
ADMITTED = _admitted()


def admits_by_name() -> bool:
    """Whether this torch can admit an object under another name (2.6 and later)."""
    return torch.torch_version.TorchVersion(torch.__version__) >= '2.6'


def allow_history_buffers() -> None:
    """Let ``torch.load(weights_only=True)`` read the log that MMEngine saves.

    OpenMMLab's MMEngine 0.10.7 stores ``HistoryBuffer`` objects in every checkpoint and
    loads with torch's default. Since torch 2.6 this default admits only tensors and
    plain values, so neither ``--resume`` nor a test run can read the run's own file.
    This function adds three things to the admitted names: that class, what NumPy needs
    to rebuild an array of numbers, and a look-up of the four statistics. A load with
    ``weights_only=True`` still runs no other code of a checkpoint. (OneDL's MMEngine
    falls back to ``weights_only=False``: see
    ``safe_loading``, which our commands use.) Before
    torch 2.6 the function changes nothing.
    """
    if admits_by_name():
        torch.serialization.add_safe_globals(
            [(found, name) for name, found in ADMITTED.items()]
        )


def damage(path: str) -> str | None:
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


def numbered_checkpoints(folder: str) -> list[str]:
    """List the checkpoints ``epoch_N.pth`` and ``iter_N.pth``, the latest first."""
    names = os.listdir(folder) if osp.isdir(folder) else []
    found = {name: _NUMBERED.fullmatch(name) for name in names}
    numbered = {name: int(match[1]) for name, match in found.items() if match}
    order = sorted(numbered, key=lambda name: numbered[name], reverse=True)
    return [osp.join(folder, name) for name in order]
