"""Safe loading of MMEngine's checkpoints on torch >= 2.6."""

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

__all__ = ['allow_history_buffers']

_METHODS = ('min', 'max', 'mean', 'current')


def _statistic(owner, name: str):
    # Replaces builtins.getattr, which the pickle of a HistoryBuffer calls: it looks up
    # only the four statistics of that class.
    if owner is HistoryBuffer and name in _METHODS:
        return getattr(owner, name)
    raise ValueError(f'the checkpoint asks for the attribute {name!r} of {owner!r}')


def allow_history_buffers() -> None:
    """Let ``torch.load(weights_only=True)`` read the log that MMEngine saves.

    OpenMMLab's MMEngine 0.10.7 stores ``HistoryBuffer`` objects in every checkpoint and
    loads with torch's default. Since torch 2.6 this default admits only tensors and
    plain values, so neither ``--resume`` nor a test run can read the run's own file.
    This function adds three things to the admitted names: that class, what NumPy needs
    to rebuild an array of numbers, and a look-up of the four statistics. Loading stays
    ``weights_only``: no other code of a checkpoint runs, also not of a foreign one.
    Before torch 2.6 the function changes nothing.
    """
    if torch.torch_version.TorchVersion(torch.__version__) < '2.6':
        return
    add = torch.serialization.add_safe_globals
    multiarray = getattr(np, '_core', None) or np.core
    numbers = [np.dtype(kind) for kind in ('f2', 'f4', 'f8', 'i4', 'i8', 'u1', '?')]
    # numpy 1 and 2 use different module names in a pickle.
    rebuild = multiarray.multiarray._reconstruct
    scalar = multiarray.multiarray.scalar
    add(
        [
            HistoryBuffer,
            (_statistic, 'builtins.getattr'),
            np.ndarray,
            np.dtype,
            *{type(number) for number in numbers},
            (rebuild, 'numpy._core.multiarray._reconstruct'),
            (rebuild, 'numpy.core.multiarray._reconstruct'),
            (scalar, 'numpy._core.multiarray.scalar'),
            (scalar, 'numpy.core.multiarray.scalar'),
        ]
    )
