"""The work directory of a training, and what it holds already."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner, find_latest_checkpoint

from ...common.arguments import reading
from ...common.inputs import MOST_TEXT, check_file
from ...common.outputs import check_outputs
from ...files.images import IMAGE_SUFFIXES
from ...files.names import some
from .checkpoint import WeightsHook, check_checkpoint, safe_loading
from .checks.run import check_once
from .config import build_runner, name_run, type_of

# What a training leaves, and a later one would replace or take for its own.
_REPLACED = re.compile(
    r'(best_.+_)?(epoch|iter)_\d+\.pth|last_checkpoint|alpha\.csv|calibrator\.json'
)


def earlier_training(folder: str) -> list[str]:
    """List what an earlier training left that another one would replace."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return [os.path.join(folder, n) for n in sorted(names) if _REPLACED.fullmatch(n)]


def was_trained(folder: str) -> bool:
    """Whether a folder is the work directory of a training that saved a checkpoint."""
    return any(path.endswith('.pth') for path in earlier_training(folder))


class ReplaceHook(Hook):
    """Removes an earlier training when the new one saves its first checkpoint."""

    done = False

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remove it once: what matches later is of the new training."""
        if not self.done:
            remove_training(runner.work_dir)
        self.done = True


def remove_training(folder: str) -> None:
    """Remove what an earlier training left, and nothing else."""
    for path in earlier_training(folder):
        # Sharded checkpoints are folders.
        if os.path.isdir(path) and not os.path.islink(path):
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
    with (
        safe_loading(trust_checkpoint),
        locked(cfg) if os.name == 'posix' else nullcontext(),  # Windows has no flock
    ):
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
    resume = cfg.resume = bool(resume or cfg.get('resume'))
    start = cfg.get('load_from')
    latest = _latest(cfg.work_dir) if resume else None
    if latest and not _lies_in(cfg.work_dir, start):
        # The weights that the training began with are no longer asked for.
        instead = f', and not from {start}' if start else ''
        print_log(f'resuming from {latest}{instead}', 'current')
        start = latest
    cfg.load_from = start
    name_run(cfg, 'train')

    _check_folder(cfg.work_dir, start, resume, overwrite)
    if start is not None:
        check_checkpoint(start, trust_checkpoint)
    runner = build_runner(cfg, goes_on=was_trained(cfg.work_dir))
    check_once(runner, ('train', 'val'))
    if resume:
        runner.register_hook(WeightsHook())
    if overwrite and get_rank() == 0:
        # Other runners' processes write the parts of a checkpoint all at once.
        if was_trained(cfg.work_dir) and isinstance(runner, Runner):
            runner.register_hook(ReplaceHook())
        else:
            remove_training(cfg.work_dir)
    return runner


@contextmanager
def locked(cfg: Config) -> Iterator[None]:
    """Refuse a training while another one runs in its work directory.

    Processes of a launcher share the lock. Of a training that was killed, the workers
    that load data hold it until they end too.
    """
    from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, flock

    check_outputs({'--work-dir': Path(cfg.work_dir) / '_'})
    os.makedirs(cfg.work_dir, exist_ok=True)
    folder = os.open(cfg.work_dir, os.O_RDONLY)
    is_alone = cfg.get('launcher', 'none') == 'none'
    try:
        flock(folder, (LOCK_EX if is_alone else LOCK_SH) | LOCK_NB)
    except BlockingIOError as error:
        raise ValueError(
            f'another training runs in {cfg.work_dir}, or has just ended: name another '
            '--work-dir, or wait some seconds'
        ) from error
    except OSError:
        pass  # a disk of a network without locks

    try:
        yield
    finally:
        with suppress(OSError):
            flock(folder, LOCK_UN)  # also of workers that have not ended
        os.close(folder)


def _use_amp(cfg: Config) -> None:
    if type_of(cfg.optim_wrapper) == 'OptimWrapper':
        cfg.optim_wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    elif type_of(cfg.optim_wrapper) != 'AmpOptimWrapper':
        raise ValueError(
            '--amp needs an optim_wrapper of type OptimWrapper: leave --amp out, or '
            'change the config'
        )


def _latest(folder: str) -> str | None:
    """The checkpoint that MMEngine would resume from; None where nothing is lost."""
    note = os.path.join(folder, 'last_checkpoint')
    check_file(note, MOST_TEXT)
    with reading(f'{note}: is not the path of a checkpoint'):
        latest = find_latest_checkpoint(folder)
    own = os.path.join(folder, os.path.basename(latest or ''))
    # Of a folder that was moved or copied the file names another place.
    return own if latest is not None and os.path.exists(own) else latest


def _check_folder(
    folder: str, start: str | None, resume: bool, overwrite: bool
) -> None:
    """Refuse to mix two trainings, and to remove what this one starts from."""
    left = earlier_training(folder)
    from_here = _lies_in(folder, start)

    if left and overwrite and (resume or from_here):
        raise ValueError(
            f'--overwrite would remove what the training starts from, in {folder} '
            f'({start or "--resume"}): move it elsewhere, or name another --work-dir'
        )
    if not left and any(
        path.suffix.lower() in IMAGE_SUFFIXES for path in Path(folder).glob('*')
    ):
        raise ValueError(f'{folder} holds images: name another --work-dir')
    if left and not overwrite and not (resume and from_here):
        raise ValueError(
            f'{folder} holds a training already ('
            f'{some([*map(os.path.basename, left)], 3)}): go on from its '
            'last_checkpoint by --resume (if that names no file that is there, or for '
            'another one, also --cfg-options load_from=FILE), name another folder with '
            '--work-dir, or replace it by --overwrite'
        )


def _lies_in(folder: str, path: str | None) -> bool:
    real = os.path.realpath(os.path.expanduser(path or ''))
    return bool(path) and real.startswith(os.path.realpath(folder) + os.sep)
