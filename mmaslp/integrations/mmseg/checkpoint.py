"""Checkpoints: reading them safely, whole and damaged ones, and their weights."""

import ast
import logging
import os
import os.path as osp
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer, print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import load_from_local
from torch import Tensor

_STATISTICS = ('min', 'max', 'mean', 'current')
# What the message of torch names of a pickle that it refuses.
_NAMED = re.compile(r'GLOBAL ([\w.]+)')


class CodeInCheckpoint(ValueError):
    """A checkpoint asks for something that could run code; nothing of it ran."""

    def __init__(self, path: str, wanted: str) -> None:
        super().__init__(
            f'{path} asks for {wanted}, which can run any code; it was refused, and '
            'nothing of it ran. If it is your own file, or you trust its author, add '
            '--trust-checkpoint (in Python: trust_checkpoint=True)'
        )


def _statistic(owner, name: str):
    # Replaces builtins.getattr, which the pickle of a HistoryBuffer calls: it looks up
    # only the four statistics of that class.
    if owner is HistoryBuffer and name in _STATISTICS:
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
_ADMITTED = _admitted()


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
        [(value, name) for name, value in _ADMITTED.items()]
    )


def load_safely(path: str, map_location: Any = 'cpu', mmap: bool = False) -> Any:
    """Read a checkpoint, of which only tensors and plain values are built.

    The text ``meta.config`` is left out: MMEngine would execute it in a resumed run.
    """
    path = osp.expanduser(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of unusual protocols of the pickle
            checkpoint = torch.load(
                path, map_location=map_location, mmap=mmap or None, weights_only=True
            )
    except Exception as error:  # torch and pickle raise a dozen types on foreign files
        raise _refusal(path, error) from None

    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    if isinstance(meta, dict):
        meta.pop('config', None)
    return checkpoint


def seed_of_training(path: str | None) -> dict[str, int | None]:
    """Seed of the training that a checkpoint is of, as settings of a result.

    None if its config sets none, so that it was drawn; empty if that is not known.
    """
    if path is None or not osp.isfile(path):
        return {}
    try:
        meta = load_safely(path, mmap=True)['meta']
        nodes = ast.walk(ast.parse(meta['cfg']))
    except (KeyError, RuntimeError, SyntaxError, TypeError, ValueError):
        return {}  # asks for code, or is none of MMEngine
    seeds = [
        node.value.value
        for node in nodes
        if isinstance(node, ast.keyword) and node.arg == 'seed'
    ]
    return {'training_seed': seeds[0] if seeds else None}


def load_trusted(path: str, map_location: Any = 'cpu') -> Any:
    """Read a checkpoint, and run what is pickled in it."""
    return torch.load(
        osp.expanduser(path), map_location=map_location, weights_only=False
    )


def _refusal(path: str, error: Exception) -> Exception:
    """What to raise for a file that could not be read safely."""
    if isinstance(error, OSError) and error.errno:
        return error
    wanted = _NAMED.findall(str(error))
    if wanted or 'Unsupported oper' in str(error):
        more = 'more than tensors and plain values'
        return CodeInCheckpoint(path, ', '.join(wanted[:3]) or more)
    reason = re.split(r'\n|\. ', str(error))[0] or type(error).__name__
    return ValueError(f'{path} cannot be read as a checkpoint ({reason})')


@contextmanager
def safe_loading(trust: bool = False) -> Iterator[None]:
    """Let MMEngine read local checkpoints by :func:`load_safely` for a while.

    So also those of ``init_cfg``. MMEngine's own loader runs what is pickled in a file
    if the safe way of reading it fails.
    """

    def load(filename: str, map_location: Any = None) -> Any:
        path = osp.expanduser(filename)
        if not osp.isfile(path):
            raise FileNotFoundError(f'no checkpoint at {osp.abspath(filename)}')
        read = load_trusted if trust else load_safely
        return read(path, map_location)

    CheckpointLoader.register_scheme('', load, force=True)
    try:
        yield
    finally:
        CheckpointLoader.register_scheme('', load_from_local, force=True)


# torch.save compresses nothing. An archive that unpacks to this many times its size,
# and to more bytes than these, is a decompression bomb.
MAX_RATIO = 4
MAX_SMALL = 2**26


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


# What predicts nothing: checkpoints and configs may differ there.
_NOT_PREDICTING = re.compile(r'auxiliary_head\.|data_preprocessor\.|.*\bloss_decode\.')
_MAX_LISTED = 3


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
    own = model.state_dict()

    resized = {
        key: f'{key}: {tuple(state.pop(key).shape)} for {tuple(value.shape)}'
        for key, value in own.items()
        if key in state and state[key].shape != value.shape
    }
    # torch knows which names modules have taken over from older versions.
    found = model.load_state_dict(state, strict=False)
    misfits = {key: f'{key} is missing' for key in found.missing_keys}
    misfits |= {key: f'{key} is unknown' for key in found.unexpected_keys}
    misfits |= resized
    differing = [
        text for key, text in misfits.items() if not _NOT_PREDICTING.match(key)
    ]
    more = ', ...' if len(differing) > _MAX_LISTED else ''
    listed = f'{", ".join(differing[:_MAX_LISTED])}{more}'
    return (
        f'{len(differing)} of its {len(own)} weights differ: {listed}'
        if differing
        else ''
    )


class WeightsHook(Hook):
    """Compares each checkpoint that a runner loads with its model.

    MMEngine loads what fits and goes on: a test would measure a partly random network.
    """

    priority = 'VERY_HIGH'

    def __init__(self, strict: bool) -> None:
        self.strict = strict

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Compare."""
        misfit = load_weights(runner.model, checkpoint)
        if misfit and self.strict:
            raise ValueError(
                f'the checkpoint does not fit the model of the config: {misfit}. Take '
                'the config that it was trained with'
            )
        if misfit:
            print_log(
                'load_from does not fit the model everywhere; what is missing or has '
                f'another shape starts anew: {misfit}',
                logger='current',
                level=logging.WARNING,
            )


def watch_weights(runner: Any, path: str | None, strict: bool) -> None:
    """Let a runner compare what it will load."""
    if path is None or not osp.isdir(path):
        runner.register_hook(WeightsHook(strict))
