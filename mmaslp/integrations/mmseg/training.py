"""Training in a work directory, which may hold another training already."""

import logging
import os
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook, LoggerHook
from mmengine.logging import print_log
from mmengine.runner import Runner, find_latest_checkpoint

from ...common.arguments import reading
from ...common.inputs import MOST_TEXT, check_file
from ...common.mistakes import about_config
from ...common.outputs import OF_FULL_DISK, check_outputs
from ...files.images import IMAGE_SUFFIXES
from ...files.names import some
from ...training.written import note_written
from .checkpoint import WeightsHook, check_checkpoint, safe_loading
from .checks.run import check_once
from .config import build_runner, listed, name_run, type_of
from .data import dataset_of, folders_named, inputs_of, sets_named
from .saving import PARTS, save_safely
from .work_dir import (
    Takeover,
    earlier_training,
    files_taken_over,
    is_dumped_config,
    lies_in,
    remove_files,
)

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


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
    check_work_dir(cfg)
    lock: AbstractContextManager = nullcontext()
    if os.name == 'posix':  # Windows has no flock
        lock = locked(cfg)
    with safe_loading(trust_checkpoint), lock, naming_full_disk(cfg.work_dir):
        runner = prepare_training(cfg, trust_checkpoint=trust_checkpoint, **options)
        runner.train()
    return runner


@about_config()
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
    if resume:
        start = _start_of_resumed(cfg.work_dir, start)
    cfg.load_from = start
    name_run(cfg, 'train')

    _check_folder(cfg.work_dir, start, resume, overwrite)
    if start is not None:
        check_checkpoint(start, trust_checkpoint)
    has_config = _config_there(cfg) is not None
    with _no_cut_config(cfg.work_dir):
        runner = build_runner(cfg)
    runner.replaces_training = overwrite
    check_once(runner, ('train', 'val'))
    datasets = [dataset_of(runner.train_loop), dataset_of(runner.val_loop)]
    check_written_folders(runner, inputs_of(cfg, datasets))
    if resume:
        runner.register_hook(WeightsHook())

    takeover = _takeover(cfg, runner, has_config, overwrite)
    if is_main_process():
        shutil.rmtree(Path(cfg.work_dir) / PARTS, ignore_errors=True)
    if not save_safely(runner, takeover) and is_main_process():
        remove_files(takeover.earlier)
    return runner


def _start_of_resumed(folder: str, start: str | None) -> str | None:
    """The newest checkpoint of a training, else what its config starts from."""
    latest = _latest(folder)
    if not latest and start is None:
        warnings.warn(
            f'{folder} has no checkpoint to resume from: the training starts anew',
            stacklevel=2,
        )
    if not latest or lies_in(folder, start):
        return start

    message = f'resuming from {latest}'
    if start:
        # The weights that the training began with are no longer asked for.
        message += f', and not from {start}'
    print_log(message, 'current')
    return latest


def _config_there(cfg: Config) -> Path | None:
    """The file of the work directory that has the name of the config, if any."""
    if not cfg.filename:
        return None
    path = Path(cfg.work_dir, Path(cfg.filename).name)
    if not path.exists():
        return None
    return path


def _takeover(
    cfg: Config, runner: Runner, has_config: bool, overwrite: bool
) -> Takeover:
    """What the first checkpoint takes the place of.

    The config in the work directory stays that of the checkpoints there until then.
    """
    takeover = Takeover([])
    if overwrite:
        takeover = Takeover(files_taken_over(cfg.work_dir))
    config = _config_there(cfg)
    if config is None or not is_main_process():
        return takeover

    if not has_config:
        note_written(config)
        return takeover

    dumped = Path(cfg.work_dir, f'{runner.timestamp}.py')
    if config.samefile(cfg.filename):
        return takeover
    if is_dumped_config(config):
        takeover.dumped = dumped
        takeover.config = config
    else:
        print_log(
            f'{config} is not as a training wrote it, and stays: the config of this '
            f'training is {dumped}',
            'current',
            logging.WARNING,
        )
    return takeover


@contextmanager
def _no_cut_config(folder: str) -> Iterator[None]:
    """Leave no config that is not whole, where the disk is full."""
    before = set(Path(folder).glob('*.py'))
    try:
        yield
    except OSError:
        made = set(Path(folder).glob('*.py')) - before
        remove_files([str(file) for file in made])
        raise


@contextmanager
def naming_full_disk(folder: str) -> Iterator[None]:
    """Name the work directory where what cannot be written has no name."""
    try:
        yield
    except OSError as error:
        if error.errno not in OF_FULL_DISK or error.filename is not None:
            raise
        words = f'cannot be written to ({error.strerror})'
        raise OSError(error.errno, words, folder) from error


def check_work_dir(cfg: Config) -> None:
    """Refuse, before it is made, a work directory in a folder that the config reads.

    So also the folder of the visualizer, which MMEngine makes when it is built.

    Raises:
        ValueError: It lies in a folder of images or masks, or holds images.
    """
    if not earlier_training(cfg.work_dir):
        _refuse_images(cfg.work_dir)
    read: list[str] = []
    for split in ('train', 'val'):
        for dataset in sets_named(cfg, split):
            read += folders_named(dataset)
    _check_folder_to_write('`work_dir`', cfg.work_dir, read)
    visualizer = cfg.get('visualizer') or {}
    for part in (visualizer, *listed(visualizer.get('vis_backends'), 'vis_backends')):
        if isinstance(part, Mapping) and part.get('save_dir'):
            name = 'save_dir of the visualizer'
            _check_folder_to_write(name, part['save_dir'], read)


def check_written_folders(runner: Runner, inputs: Iterable[str]) -> None:
    """Refuse a run that writes into a folder that it reads, also by a hook.

    Raises:
        ValueError: The work directory, or the ``out_dir`` of a hook, lies in one.
    """
    inputs = list(inputs)
    _check_folder_to_write('`work_dir`', runner.work_dir, inputs)
    for hook in runner.hooks:
        folder = getattr(hook, 'out_dir', None)
        if isinstance(hook, (CheckpointHook, LoggerHook)) and folder is not None:
            name = f'out_dir of {type(hook).__name__}'
            if '://' not in str(folder):
                _check_folder_to_write(name, folder, inputs)


def _check_folder_to_write(name: str, folder: str, inputs: Iterable[str] = ()) -> None:
    """Refuse a folder that cannot be made, or lies in one that is read."""
    check_outputs({name: Path(folder) / '_'}, inputs)


@contextmanager
def locked(cfg: Config) -> Iterator[None]:
    """Refuse a training while another one runs in its work directory.

    Processes of a launcher share the lock. Of a training that was killed, the workers
    that load data hold it until they end too.
    """
    _check_folder_to_write('`work_dir`', cfg.work_dir)
    os.makedirs(cfg.work_dir, exist_ok=True)
    if fcntl is None:
        yield
        return

    folder = os.open(cfg.work_dir, os.O_RDONLY)
    lock = fcntl.LOCK_SH
    if cfg.get('launcher', 'none') == 'none':
        lock = fcntl.LOCK_EX
    try:
        fcntl.flock(folder, lock | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ValueError(
            f'another training runs in {cfg.work_dir}, or has just ended: name another '
            '`work_dir`, or wait some seconds'
        ) from error
    except OSError:
        pass  # a disk of a network without locks

    try:
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_UN)  # also of workers that have not ended
        os.close(folder)


def _use_amp(cfg: Config) -> None:
    if type_of(cfg.optim_wrapper) == 'OptimWrapper':
        cfg.optim_wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    elif type_of(cfg.optim_wrapper) != 'AmpOptimWrapper':
        raise ValueError(
            '`amp` needs an optim_wrapper of type OptimWrapper: leave `amp` out, or '
            'change the config'
        )


def _latest(folder: str) -> str | None:
    """The checkpoint that MMEngine would resume from; None where nothing is lost."""
    note = os.path.join(folder, 'last_checkpoint')
    check_file(note, MOST_TEXT)
    with reading(f'{note}: is not the path of a checkpoint'):
        latest = find_latest_checkpoint(folder)
        os.path.realpath(latest or folder)  # it refuses what no path can hold
    if latest is None:
        return None
    # Of a folder that was moved or copied the file names another place.
    here = os.path.join(folder, os.path.basename(latest))
    if os.path.exists(here):
        return here
    return latest


def _check_folder(
    folder: str, start: str | None, resume: bool, overwrite: bool
) -> None:
    """Refuse to mix two trainings, and to remove what this one starts from."""
    left = earlier_training(folder)
    from_here = lies_in(folder, start)

    if left and overwrite and (resume or from_here):
        raise ValueError(
            f'`overwrite` would remove what the training starts from, in {folder} '
            f'({start or "`resume`"}): move it elsewhere, or name another `work_dir`'
        )
    if not left:
        _refuse_images(folder)
    if left and not overwrite and not (resume and from_here):
        names = [os.path.basename(file) for file in left]
        raise ValueError(
            f'{folder} contains a training already ({some(names, 3)}): go on from its '
            'last_checkpoint by `resume` (if that names no file that is there, or for '
            'another one, also `cfg_options` load_from=FILE), name another folder with '
            '`work_dir`, or replace it by `overwrite`'
        )


def _refuse_images(folder: str) -> None:
    if any(path.suffix.lower() in IMAGE_SUFFIXES for path in Path(folder).glob('*')):
        raise ValueError(f'{folder} contains images: name another `work_dir`')
