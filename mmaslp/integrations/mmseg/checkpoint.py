"""Checkpoints: reading them safely, whole and damaged ones, and their weights."""

import os.path as osp
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import load_from_local
from torch import Tensor

from ...common.inputs import check_unpacked
from ...files.names import some

_STATISTICS = ('min', 'max', 'mean', 'current')
# What the message of torch names of a pickle that it refuses.
_NAMED = re.compile(r'GLOBAL ([\w.]+)')


def _statistic(owner, name: str):
    # Replaces builtins.getattr, which the pickle of a HistoryBuffer calls: it looks up
    # only the four statistics of that class.
    if owner is HistoryBuffer and name in _STATISTICS:
        return getattr(owner, name)
    raise ValueError(f'the checkpoint asks for the attribute {name!r} of {owner!r}')


def _admitted() -> dict[str, Any]:
    """From the full name in a pickle to what stands for it: the log of MMEngine."""
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


def allow_history_buffers() -> None:
    """Let ``torch.load(weights_only=True)`` read the log that MMEngine saves.

    OpenMMLab's MMEngine 0.10.7 stores ``HistoryBuffer`` objects in every checkpoint and
    loads with torch's default, which admits only tensors and plain values. So neither
    ``--resume`` nor a test run can read the run's own file. This admits that class,
    what NumPy needs to rebuild an array of numbers, and a look-up of four statistics.
    (OneDL's MMEngine falls back to ``weights_only=False``: see :func:`safe_loading`,
    which our commands use.)
    """
    torch.serialization.add_safe_globals(
        [(value, name) for name, value in _admitted().items()]
    )


def load_safely(
    path: str, map_location: Any = 'cpu', mmap: bool = False, trust: bool = False
) -> Any:
    """Read a checkpoint, of which only tensors and plain values are built.

    The text ``meta.config`` is left out: MMEngine would execute it in a resumed run.
    With ``trust`` all is read, and what is pickled in the file runs.

    Raises:
        ValueError: The file is no checkpoint, or asks for what could run code; nothing
            of it ran.
    """
    path = osp.expanduser(path)
    if trust:
        return torch.load(path, map_location=map_location, weights_only=False)
    try:
        checkpoint = torch.load(
            path, map_location=map_location, mmap=mmap or None, weights_only=True
        )
    except Exception as error:  # torch and pickle raise a dozen types on foreign files
        raise _refusal(path, error) from None

    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    if isinstance(meta, dict):
        meta.pop('config', None)
    return checkpoint


def _refusal(path: str, error: Exception) -> Exception:
    """What to raise for a file that could not be read safely."""
    if isinstance(error, OSError) and error.filename:
        return error
    wanted = _NAMED.findall(str(error))
    if wanted or 'Unsupported oper' in str(error):
        names = ', '.join(wanted[:3]) or 'more than tensors and plain values'
        return ValueError(
            f'{path} asks for {names}, which can run any code; it was refused, and '
            'nothing of it ran. If it is your own file, or you trust its author, add '
            '--trust-checkpoint (in Python: trust_checkpoint=True)'
        )
    reason = re.split(r'\n|\. ', str(error))[0] or type(error).__name__
    return ValueError(f'{path} is damaged, or no checkpoint ({reason})')


def seed_of_training(path: str | None) -> dict[str, int | None]:
    """Seed of the training that a checkpoint is of, as settings of a result.

    None if its config sets none, so that it was drawn; empty if that is not known.
    """
    if path is None or not osp.isfile(path):
        return {}
    try:
        config = load_safely(path, mmap=True)['meta']['cfg']
        seed = re.search(r'\bseed=(\d+)', config)
    except (KeyError, RuntimeError, TypeError, ValueError):
        return {}  # asks for code, or is not one of MMEngine
    return {'training_seed': int(seed[1]) if seed else None}


@contextmanager
def safe_loading(trust: bool = False) -> Iterator[None]:
    """Let MMEngine read local checkpoints by :func:`load_safely` for a while.

    So also those of ``init_cfg``. MMEngine's own loader runs what is pickled in a file
    if the safe way of reading it fails.
    """

    def load(filename: str, map_location: Any = None) -> Any:
        if not osp.isfile(osp.expanduser(filename)):
            raise FileNotFoundError(f'no checkpoint at {osp.abspath(filename)}')
        return load_safely(filename, map_location, trust=trust)

    CheckpointLoader.register_scheme('', load, force=True)
    try:
        yield
    finally:
        CheckpointLoader.register_scheme('', load_from_local, force=True)


def check_checkpoint(path: str, trust: bool = False) -> None:
    """Make sure that a checkpoint is whole and runs no code, before it is used.

    Every member of the archive is compared with its checksum, which torch does not. Of
    a folder of shards each file is looked at.
    """
    path = osp.expanduser(path)
    if '://' in path:
        return
    shards = sorted(Path(path).rglob('*.pt*')) if osp.isdir(path) else [path]
    for part in map(str, shards):
        if not osp.isfile(part):
            raise FileNotFoundError(f'no checkpoint at {osp.abspath(part)}')
        if not trust:
            _check_file(part)


def _check_file(path: str) -> None:
    archived = zipfile.is_zipfile(path)
    if archived:
        try:
            with zipfile.ZipFile(path) as archive:
                size = sum(member.file_size for member in archive.infolist())
                check_unpacked(size, osp.getsize(path))
                broken = archive.testzip()
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError):
            broken = 'its table of contents'
        if broken is not None:
            raise ValueError(f'{path} is damaged ({broken} fails its checksum)')

    checkpoint = load_safely(path, mmap=archived)
    if not isinstance(checkpoint, dict):
        kind = type(checkpoint).__name__
        raise ValueError(f'{path} holds a {kind}, and a checkpoint is a dict')


# What predicts nothing: checkpoints and configs may differ there.
_NOT_PREDICTING = re.compile(r'auxiliary_head\.|data_preprocessor\.|.*\bloss_decode\.')


def load_weights(model: Any, checkpoint: Mapping[str, Any]) -> str:
    """Load what fits of a checkpoint, and say what does not.

    Auxiliary heads, losses and the preprocessor predict nothing and are not compared.
    """
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    given = checkpoint.get('state_dict', checkpoint)
    state = {
        re.sub(r'^module\.', '', str(key)): value
        for key, value in (given.items() if isinstance(given, Mapping) else ())
        if isinstance(value, Tensor)
    }
    for key, value in model.state_dict().items():
        if key in state and state[key].shape != value.shape:
            del state[key]

    # torch knows which names modules have taken over from older versions.
    loaded = model.load_state_dict(state, strict=False)
    misfits = []
    for keys, problem in (
        (loaded.missing_keys, 'missing or of another shape'),
        (loaded.unexpected_keys, 'unknown to the model'),
    ):
        names = [key for key in keys if not _NOT_PREDICTING.match(key)]
        misfits += [f'{len(names)} {problem} ({some(names, 3)})'] if names else []
    return ', '.join(misfits)


class WeightsHook(Hook):
    """Refuses a checkpoint that does not fit the model of a runner that loads it.

    MMEngine loads what fits and goes on: a test would measure a partly random network.
    """

    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Compare."""
        misfit = load_weights(runner.model, checkpoint)
        if misfit:
            raise ValueError(
                'the checkpoint does not fit the model of the config: weights '
                f'{misfit}. Take the config that it was trained with'
            )


def watch_weights(runner: Any, path: str | None) -> None:
    """Let a runner compare what it will load, but for a folder of shards."""
    if path is None or not osp.isdir(path):
        runner.register_hook(WeightsHook())
