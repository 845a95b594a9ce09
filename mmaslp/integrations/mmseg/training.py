"""The work directory of a training, and what it holds already."""

import os
import os.path as osp
import re
import shutil
from collections.abc import Sequence
from typing import Any

from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.logging import print_log
from mmengine.runner import Runner, find_latest_checkpoint

from .checkpoint import check_checkpoint, safe_loading, watch_weights
from .checks.run import check_once
from .config import build_runner

# What a training leaves, and a later one would replace or take for its own.
_REPLACED = re.compile(
    r'((epoch|iter)_\d+|best_.+)\.pth|last_checkpoint|alpha\.csv|calibrator\.json'
)


def earlier_training(folder: str) -> list[str]:
    """List what an earlier training left that another one would replace."""
    names = os.listdir(folder) if osp.isdir(folder) else []
    return [osp.join(folder, n) for n in sorted(names) if _REPLACED.fullmatch(n)]


def was_trained(folder: str) -> bool:
    """Whether a folder is the work directory of a training that saved a checkpoint."""
    return osp.isfile(osp.join(folder, 'last_checkpoint'))


def remove_training(folder: str) -> None:
    """Remove what an earlier training left, and nothing else."""
    for path in earlier_training(folder):
        # Sharded checkpoints are folders.
        if osp.isdir(path) and not osp.islink(path):
            shutil.rmtree(path)
        else:
            os.remove(path)


def run_training(
    cfg: Config, *, trust_checkpoint: bool = False, **options: Any
) -> Runner:
    """Train; ``cfg`` has ``work_dir`` and ``launcher`` set.

    The options are those of :func:`prepare_training`.

    Raises:
        FileNotFoundError: A file of the data, or the checkpoint, does not exist.
        ValueError: The work directory holds another training, a checkpoint is damaged
            or asks for code, or the config does not serve.
    """
    with safe_loading(trust_checkpoint):
        runner = prepare_training(cfg, trust_checkpoint=trust_checkpoint, **options)
        runner.train()
    return runner


def prepare_training(
    cfg: Config,
    *,
    resume: bool = False,
    amp: bool = False,
    overwrite: bool = False,
    trust_checkpoint: bool = False,
) -> Runner:
    """Build the runner of a config and its data sets, ready to train."""
    if amp:
        _use_amp(cfg)
    resume = cfg.resume = resume or bool(cfg.get('resume'))
    start = cfg.get('load_from')
    folders = _folders(cfg)
    if start is None and resume:
        if overwrite:
            raise ValueError(
                '--resume goes on with a training and --overwrite removes it: give one'
            )
        start = cfg.load_from = _latest(folders)

    _check_folders(folders, start, resume, overwrite)
    if start is not None:
        check_checkpoint(start, trust_checkpoint)
    runner = build_runner(cfg)
    check_once(runner, ('train', 'val'))
    watch_weights(runner, start, strict=resume)
    if overwrite and get_rank() == 0:
        for folder in folders:
            remove_training(folder)

    return runner


def _use_amp(cfg: Config) -> None:
    kind = cfg.optim_wrapper.type
    if kind not in ('AmpOptimWrapper', 'OptimWrapper'):
        raise ValueError(
            f'--amp needs an optim_wrapper of type OptimWrapper, not {kind}'
        )
    if kind == 'OptimWrapper':
        cfg.optim_wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')


def _folders(cfg: Config) -> list[str]:
    """Work directory, and the folder of the checkpoints if it is another one."""
    folders = [cfg.work_dir]
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    if hook.get('out_dir'):
        name = osp.basename(cfg.work_dir.rstrip(osp.sep))
        folders.append(osp.join(hook['out_dir'], name))
    return folders


def _latest(folders: Sequence[str]) -> str | None:
    """The checkpoint that MMEngine would resume from; None where nothing is lost."""
    latest = next(filter(None, map(find_latest_checkpoint, folders)), None)
    if latest is not None and not osp.exists(latest):
        # The folder was moved or copied.
        latest = osp.join(folders[0], osp.basename(latest))

    left = [path for folder in folders for path in earlier_training(folder)]
    if latest is None and left:
        raise ValueError(
            f'there is nothing to resume from in {folders[0]}: it has no '
            f'last_checkpoint, but {_some(left)}. Name one with --cfg-options '
            'load_from=FILE, or start anew in another --work-dir or with --overwrite'
        )
    if latest is None:
        print_log(f'{folders[0]} holds no checkpoint: the training starts anew')
    return latest


def _check_folders(
    folders: Sequence[str], start: str | None, resume: bool, overwrite: bool
) -> None:
    """Refuse to mix two trainings, and to remove what this one starts from."""
    found = [path for folder in folders for path in earlier_training(folder)]
    own = start is not None and _lies_in(start, folders)
    if found and overwrite and own:
        raise ValueError(
            f'--overwrite would remove {start}, from which the training starts: move '
            'it elsewhere, or name another --work-dir'
        )
    if found and not overwrite and not (resume and own):
        raise ValueError(
            f'{folders[0]} holds a training already ({_some(found)}): go on with it by '
            '--resume, name another folder with --work-dir, or replace it by '
            '--overwrite'
        )


def _lies_in(path: str, folders: Sequence[str]) -> bool:
    real = osp.realpath(osp.expanduser(path))
    return any(real.startswith(osp.join(osp.realpath(f), '')) for f in folders)


def _some(paths: list[str]) -> str:
    names = [osp.basename(path) for path in paths]
    return ', '.join(names[:3]) + (f' and {len(names) - 3} more' if names[3:] else '')
