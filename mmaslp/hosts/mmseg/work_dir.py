"""The work directory of a training: who uses it, and what it holds already."""

import os
import os.path as osp
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.dist import get_rank
from mmengine.logging import print_log

try:
    import fcntl
except ImportError:  # Windows: nothing is locked
    fcntl = None  # type: ignore[assignment]

LOCK = '.mmaslp.lock'
# What a training of MMEngine leaves, and a later one would replace or take for its own.
_CHECKPOINT = re.compile(r'((epoch|iter)_\d+|best_.+)\.pth|last_checkpoint')
# The number of a process where the launcher sets one, before MMEngine has started.
_RANKS = {'pytorch': 'RANK', 'slurm': 'SLURM_PROCID', 'mpi': 'OMPI_COMM_WORLD_RANK'}


def process_rank(launcher: str | None) -> int:
    """Return the number of this process among those of a distributed training."""
    number = os.environ.get(_RANKS.get(launcher or 'none', ''), '')
    return int(number) if number.isdigit() else get_rank()


@contextmanager
def locked(folder: str) -> Iterator[None]:
    """Keep a work directory for this process; made if needed.

    The lock is on the file ``.mmaslp.lock`` and ends with the process, also if it is
    killed. Processes that it starts do not hold it.
    """
    path = osp.join(folder, LOCK)
    try:
        os.makedirs(folder, exist_ok=True)
        file = open(path, 'a+', encoding='utf-8')  # noqa: SIM115
    except OSError as error:
        raise ValueError(
            f'{folder} cannot be the work directory ({error.strerror}): name another '
            'one with --work-dir'
        ) from error
    with file:
        if fcntl is not None:
            _lock(file, folder)
        yield


def _lock(file, folder: str) -> None:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.seek(0)
        raise ValueError(
            f'{folder} is the work directory of a training that is running '
            f'({file.read().strip() or "of an unknown process"}): wait for its end, or '
            'name another one with --work-dir'
        ) from None
    except OSError as error:
        print_log(f'{folder} is not locked: {error.strerror}', logger='current')
        return
    file.truncate(0)
    file.write(f'process {os.getpid()} on {socket.gethostname()}\n')
    file.flush()


def earlier_training(folder: str) -> list[str]:
    """List what an earlier training left that another one would replace."""
    names = os.listdir(folder) if osp.isdir(folder) else []
    return [osp.join(folder, n) for n in sorted(names) if _CHECKPOINT.fullmatch(n)]


def remove_training(folder: str) -> None:
    """Remove the checkpoints of an earlier training, and nothing else."""
    for path in earlier_training(folder):
        # Sharded checkpoints are folders.
        if osp.isdir(path) and not osp.islink(path):
            shutil.rmtree(path)
        else:
            os.remove(path)
