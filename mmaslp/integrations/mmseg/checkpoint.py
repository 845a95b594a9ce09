"""Checkpoints: reading them safely, whole and damaged ones, and their weights."""

import logging
import os.path as osp
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer, print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import checkpoint as mmengine_checkpoint

from ...common.inputs import check_unpacked, naming
from ...common.replacing import replaced
from ...files.names import some

TRUST = 'If it is your own file, or you trust its author, add `trust_checkpoint=True`'
# What the message of torch names of a pickle that it refuses.
_NAMED = re.compile(r'GLOBAL ([\w.]+)')


def _statistic(owner, name: str):
    # Replaces builtins.getattr, which the pickle of a HistoryBuffer calls: it looks up
    # only the four statistics of that class.
    if owner is HistoryBuffer and name in ('min', 'max', 'mean', 'current'):
        return getattr(owner, name)
    raise ValueError(f'the checkpoint asks for the attribute {name!r} of {owner!r}')


def allow_history_buffers() -> None:
    """Let ``torch.load(weights_only=True)`` read the log that MMEngine saves.

    OpenMMLab's MMEngine 0.10.7 stores ``HistoryBuffer`` objects in every checkpoint and
    loads with torch's default, which admits only tensors and plain values. So neither
    ``--resume`` nor a test run can read the run's own file. This admits that class,
    what NumPy needs to rebuild an array of numbers, and a look-up of four statistics.
    (OneDL's MMEngine falls back to ``weights_only=False``: see :func:`safe_loading`,
    which our commands use.)
    """
    multiarray = (getattr(np, '_core', None) or np.core).multiarray
    admitted: list[Any] = [HistoryBuffer, np.ndarray, np.dtype]
    for code in ('f2', 'f4', 'f8', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', '?'):
        admitted.append(type(np.dtype(code)))
    for package in ('numpy._core', 'numpy.core'):  # numpy 2 and 1
        for name in ('_reconstruct', 'scalar'):
            admitted.append((getattr(multiarray, name), f'{package}.multiarray.{name}'))
    admitted.append((_statistic, 'builtins.getattr'))
    torch.serialization.add_safe_globals(admitted)


def load_safely(
    path: str,
    map_location: Any = 'cpu',
    trust: bool = False,
    read: Callable[..., Any] = torch.load,
    **options: Any,
) -> Any:
    """Read a checkpoint, of which only tensors and plain values are built.

    The text ``meta.config`` is left out: MMEngine would execute it in a resumed run.
    With ``trust`` all is read, and what is pickled in the file runs. ``read`` may also
    be torch's loader of URLs; it takes the other options.

    Raises:
        ValueError: The file is no checkpoint, or asks for what could run code; nothing
            of it ran.
    """
    path = osp.expanduser(path)
    allow_history_buffers()  # OneDL's loader takes them back after each file
    try:
        checkpoint = read(
            path, map_location=map_location, weights_only=not trust, **options
        )
    except Exception as error:  # torch and pickle raise a dozen types on foreign files
        raise _refusal(path, error) from None

    if isinstance(checkpoint, dict) and not trust:
        meta = checkpoint.get('meta')
        if isinstance(meta, dict):
            meta.pop('config', None)
    return checkpoint


def _refusal(path: str, error: Exception) -> Exception:
    """What to raise for a file that could not be read safely."""
    if isinstance(error, OSError) and error.filename:
        return error
    wanted = _NAMED.findall(str(error))
    if wanted or 'Unsupported oper' in str(error):
        # A file of another kind may look so too, such as an image or safetensors.
        if not wanted:
            return ValueError(
                f'{path} is no checkpoint, or asks for more than tensors and plain '
                'values, which can run any code; it was refused, and nothing of it '
                f'ran. {TRUST}'
            )
        return ValueError(
            f'{path} asks for {", ".join(wanted[:3])}, which can run any code; it was '
            f'refused, and nothing of it ran. {TRUST}'
        )

    reason = re.split(r'\n|\. ', str(error))[0] or type(error).__name__
    other = 'no checkpoint'
    if '://' in path:
        other = 'cannot be fetched'
    return ValueError(f'{path} is damaged, or {other} ({reason})')


@contextmanager
def safe_loading(trust: bool = False) -> Iterator[None]:
    """Let MMEngine read checkpoints by :func:`load_safely` for a while.

    So also those of ``init_cfg``, and those of a URL. MMEngine's own loader runs what
    is pickled in a file if the safe way of reading it fails.
    """

    def load(filename: str, map_location: Any = None) -> Any:
        if not osp.isfile(osp.expanduser(filename)):
            raise FileNotFoundError(
                f'no checkpoint at {osp.abspath(filename)}: name a file, such as '
                'epoch_4.pth'
            )
        return load_safely(filename, map_location, trust=trust)

    def fetch(url: str, map_location: Any = None, **options: Any) -> Any:
        return load_safely(
            url, map_location, trust, torch.hub.load_state_dict_from_url, **options
        )

    schemes = {**mmengine_checkpoint.CheckpointLoader._schemes, '': load}
    with (
        replaced(mmengine_checkpoint, 'load_url', fetch),
        replaced(mmengine_checkpoint.CheckpointLoader, '_schemes', schemes),
    ):
        yield


_SHARD = re.compile(r'\.(pt|distcp|bin|safetensors)')


def check_checkpoint(path: str, trust: bool = False) -> None:
    """Make sure that a checkpoint is whole and runs no code, before it is used.

    Every member of the archive is compared with its checksum, which torch does not. Of
    a folder of shards each file is looked at.
    """
    path = osp.expanduser(path)
    if '://' in path:
        return
    shards = [path]
    if osp.isdir(path):
        inside = sorted(Path(path).rglob('*'))
        if any(_SHARD.search(file.name) for file in inside):
            shards = [str(file) for file in inside if '.pt' in file.name]
    for part in shards:
        if not osp.isfile(part):
            raise FileNotFoundError(f'no checkpoint at {osp.abspath(part)}')
        if not trust:
            _check_file(part)


def _check_file(path: str) -> None:
    mmap = None
    if zipfile.is_zipfile(path):
        _check_archive(path)
        mmap = True

    if not isinstance(load_safely(path, mmap=mmap), dict):
        raise ValueError(f'{path} contains something else: a checkpoint is a dict')


def _check_archive(path: str) -> None:
    """Refuse an archive with a broken member, or one that would fill the memory."""
    try:
        with naming(path), zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
            check_unpacked(unpacked, osp.getsize(path))
            broken = archive.testzip()
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError):
        broken = 'its table of contents'
    if broken is not None:
        raise ValueError(
            f'{path} is damaged ({broken} fails its checksum): take another one'
        )


# What predicts nothing: checkpoints and configs may differ there.
_NOT_PREDICTING = re.compile(r'auxiliary_head\.|data_preprocessor\.|.*\bloss_decode\.')


def unwrap(model: Any) -> Any:
    """Take the wrappers of distributed training, and of views, off a model."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def load_weights(model: Any, checkpoint: Mapping[str, Any]) -> str:
    """Load what fits of a checkpoint, and say what does not.

    Auxiliary heads, losses and the preprocessor predict nothing and are not compared.
    """
    model = unwrap(model)
    wanted = model.state_dict()
    fitting = {}
    for key, value in _tensors_of(checkpoint).items():
        if key not in wanted or wanted[key].shape == value.shape:
            fitting[key] = value

    # torch knows which names modules have taken over from older versions.
    loaded = model.load_state_dict(fitting, strict=False)
    problems = {
        'missing or of another shape': loaded.missing_keys,
        'unknown to the model': loaded.unexpected_keys,
    }
    misfits = []
    for problem, keys in problems.items():
        names = [key for key in keys if not _NOT_PREDICTING.match(key)]
        if names:
            misfits.append(f'{len(names)} {problem} ({some(names, 3)})')
    return ', '.join(misfits)


def _tensors_of(checkpoint: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The weights of a checkpoint by name, without a wrapper's prefix."""
    weights = checkpoint.get('state_dict', checkpoint)
    if not isinstance(weights, Mapping):
        return {}

    tensors = {}
    for key, value in weights.items():
        if isinstance(value, torch.Tensor):
            tensors[re.sub(r'^module\.', '', str(key))] = value
    return tensors


# Of a group of parameters, beside the options of the optimizer.
_OF_GROUP = {'params', 'param_names', 'initial_lr'}


def _of_another_optimizer(runner: Any, checkpoint: Mapping[str, Any]) -> bool:
    """Whether the saved state is that of another kind of optimizer than the runner's.

    torch loads it, and fails at the first step. One that only lacks options may be of
    an older torch. Several optimizers are not compared.
    """
    optimizer = getattr(getattr(runner, 'optim_wrapper', None), 'optimizer', None)
    saved = checkpoint.get('optimizer')
    if not isinstance(optimizer, torch.optim.Optimizer):
        return False
    if not isinstance(saved, Mapping):
        return False

    options = optimizer.defaults.keys()
    for group in saved.get('param_groups', ()):
        if not isinstance(group, Mapping):
            return True
        lacking = options - group.keys()
        unknown = group.keys() - options - _OF_GROUP
        if lacking and unknown:
            return True
    return False


class WeightsHook(Hook):
    """Refuses a checkpoint that does not fit the model of a runner that loads it.

    MMEngine loads what fits and goes on: a test would measure a partly random network.
    It would also remove and rewrite the checkpoints of a training that another one, or
    a copy of its folder, goes on from.
    """

    priority = 'VERY_HIGH'

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Compare; let no path lead elsewhere; say if nothing is left to train."""
        misfit = load_weights(runner.model, checkpoint)
        path = runner.cfg.get('load_from') or 'the checkpoint'
        if runner._resume:
            _check_resumable(runner, checkpoint, path)
        # A folder of shards is not compared.
        if misfit and not osp.isdir(path):
            raise ValueError(
                f'{path} does not fit the model of the config: weights '
                f'{misfit}. Take the config that it was trained with'
            )

        _lead_into(runner.work_dir, checkpoint)
        if runner._resume:
            _warn_of_the_end(runner, checkpoint, path)


def _check_resumable(runner: Any, checkpoint: Mapping[str, Any], path: str) -> None:
    """Refuse a checkpoint from which no training can go on."""
    if not _has_state(checkpoint, is_folder=osp.isdir(path)):
        raise ValueError(
            f'{path} lacks the state of the optimizer, or where its training was: '
            'leave `resume` out, which starts a new training from its weights'
        )
    if _of_another_optimizer(runner, checkpoint):
        raise ValueError(
            f'{path} has the state of another optimizer than the config: take the '
            'optim_wrapper that it was trained with, or leave `resume` out, which '
            'starts a new training from its weights'
        )


def _has_state(checkpoint: Mapping[str, Any], is_folder: bool) -> bool:
    """Whether a training can go on from it; shards keep the rest elsewhere."""
    needed = ['meta']
    if not is_folder:
        needed += ['message_hub', 'optimizer']
    for key in needed:
        if not isinstance(checkpoint.get(key), Mapping):
            return False
    meta = checkpoint['meta']
    return all(isinstance(meta.get(unit), int) for unit in ('epoch', 'iter'))


def _lead_into(folder: str, checkpoint: Mapping[str, Any]) -> None:
    """Let the checkpoints that one names be those of a folder, or none."""
    info = checkpoint.get('message_hub', {}).get('runtime_info', {})
    for key, saved in list(info.items()):
        if key.startswith(('best_ckpt', 'last_ckpt')):
            # Of several shards it is a folder.
            here = osp.join(folder, osp.basename(saved or ''))
            info[key] = None
            if osp.exists(here):
                info[key] = here


def _warn_of_the_end(runner: Any, checkpoint: Mapping[str, Any], path: str) -> None:
    """Say so if a checkpoint is as old as the training will ever be."""
    iteration = checkpoint['meta']['iter']
    if iteration >= runner.max_iters:
        print_log(
            f'{path} ends at iteration {iteration}, the training at '
            f'{runner.max_iters}: nothing is left to train',
            'current',
            logging.WARNING,
        )
