#!/usr/bin/env python
"""Break runs on purpose and write down what the user sees and keeps.

``OMP_NUM_THREADS=1 python benchmarks/faults.py > faults.md``: runs of the tests'
toy data set in child processes (6 epochs of 5 iterations, a checkpoint each epoch).
"""

import argparse
import contextlib
import datetime
import io
import math
import multiprocessing
import os
import platform
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.runner.checkpoint import find_latest_checkpoint

import mmaslp
from mmaslp import ASLPHook
from mmaslp.integrations.mmseg.checkpoint import check_checkpoint

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.toy import Toy

FORK = multiprocessing.get_context('fork')
EPOCHS = 6
# What a child reports at its end: ('done', levels, weights), ('error', message), ...
Report = tuple
# Fault, what the user sees, what is kept, whether a resumed run is equal.
Row = tuple[str, str, str, str]


class At(Hook):
    """Do something in one iteration."""

    priority = 'VERY_HIGH'

    def __init__(self, iteration: int, action: Callable[[Runner], object]) -> None:
        self.iteration = iteration
        self.action = action

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """See :class:`mmengine.hooks.Hook`."""
        if runner.iter == self.iteration:
            self.action(runner)


def small_files(runner: Runner) -> None:
    """Let every write beyond 20 kB fail, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def poison_logits(runner: Runner) -> None:
    """Make the head answer nan for the first image of this batch."""
    conv = runner.model.decode_head.conv_seg

    def spoil(module, args, output):
        handle.remove()
        output = output.clone()
        output[0] = float('nan')
        return output

    handle = conv.register_forward_hook(spoil)


def poison_network(runner: Runner) -> None:
    """Set the first image's features to nan, so the gradients become nan too."""
    conv = runner.model.decode_head.conv_seg

    def spoil(module, args):
        handle.remove()
        features = args[0].clone()
        features[0] = features[0] * float('nan')
        return (features,)

    handle = conv.register_forward_pre_hook(spoil)


def lose_worker(runner: Runner) -> None:
    """Kill a worker process of the data loader, as the OOM killer does."""
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)


def die(runner: Runner) -> None:
    """Kill this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def body(
    toy: Toy,
    folder: Path,
    name: str,
    fault: Hook | None,
    workers: int,
    world: int,
    rank: int,
    queue: Any,
) -> None:
    """Train in this process; report the levels and weights, or the error."""
    torch.set_num_threads(1)
    warnings.simplefilter('ignore')
    with open(folder / f'{name}.out', 'a') as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.chdir(folder)
    if world > 1:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world))
        torch.distributed.init_process_group(
            'gloo',
            init_method=f'file://{folder}/{name}.{fault is None}.group',
            rank=rank,
            world_size=world,
        )
    cfg = toy.config(folder / name, resume=True, train_cfg=dict(max_epochs=EPOCHS))
    cfg.train_dataloader.num_workers = workers
    if world > 1:
        cfg.launcher = 'pytorch'
        cfg.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None)
    try:
        runner = Runner.from_cfg(cfg)
        if fault is not None:
            runner.register_hook(fault)
        runner.train()
    except Exception as error:
        queue.put(('error', f'{type(error).__name__}: {error}'))
        return
    hook = next(h for h in runner.hooks if isinstance(h, ASLPHook))
    weights = torch.cat([p.detach().flatten() for p in runner.model.parameters()])
    queue.put(('done', hook.levels.alpha.tolist(), weights.tolist()))


def start(
    toy: Toy,
    folder: Path,
    name: str,
    *,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
    fault: Hook | None = None,
) -> tuple[Any, Any]:
    """Start a child that trains."""
    queue = FORK.Queue()
    args = (toy, folder, name, fault, workers, world, rank, queue)
    child = FORK.Process(target=body, args=args)
    child.start()
    return child, queue


def outcome(child: Any, queue: Any) -> Report:
    """Wait for a child; what it reported, or how it died."""
    while child.is_alive() and queue.empty():
        time.sleep(0.02)
    child.join(1)
    return queue.get() if not queue.empty() else ('killed', 'the process is gone')


def train(toy: Toy, folder: Path, name: str, **kwargs: Any) -> Report:
    """Train in a child and wait for it."""
    return outcome(*start(toy, folder, name, **kwargs))


def kept(folder: Path, name: str) -> str:
    """Latest checkpoint that a resumed run would take, and whether it is whole."""
    with contextlib.redirect_stdout(io.StringIO()):  # it prints a message without one
        path = find_latest_checkpoint(folder / name)
    if path is None:
        return 'none'
    try:
        check_checkpoint(path)
    except ValueError as error:
        return str(error)
    return Path(path).name


def same(report: Report, whole: Report) -> str:
    """Whether a resumed run ended as the uninterrupted one did."""
    if report[0] != 'done':
        return f'no: {report}'
    levels = report[1] == whole[1]
    weights = report[2] == whole[2]
    return (
        'yes, bit by bit'
        if levels and weights
        else f'levels {levels}, weights {weights}'
    )


def kills(toy: Toy, folder: Path, whole: Report, length: float, moments: int) -> Row:
    """Kill -9 at random moments, then resume."""
    chosen = random.Random(0)
    exact, found = 0, []
    for i in range(moments):
        name = f'kill{i}'
        child, _ = start(toy, folder, name)
        child.join(chosen.uniform(0, length))
        died = child.is_alive()
        child.kill()
        child.join()
        found.append(kept(folder, name) if died else 'ended before')
        exact += same(train(toy, folder, name), whole).startswith('yes')
    states = {state: found.count(state) for state in sorted(set(found))}
    seen = ', '.join(f'{state} ({count})' for state, count in states.items())
    return (
        f'kill -9 at {moments} random moments',
        'nothing: the process is gone',
        f'latest checkpoint: {seen}',
        f'{exact} of {moments} end as the uninterrupted run, bit by bit',
    )


def single(
    toy: Toy, folder: Path, whole: Report, name: str, title: str, **kwargs: Any
) -> Row:
    """One fault, then resume."""
    report = train(toy, folder, name, **kwargs)
    log = ''.join(p.read_text() for p in (folder / name).glob('*/*.log'))
    warned = [x.split(' - ')[-1] for x in log.splitlines() if 'not finite' in x]
    left = f'latest checkpoint: {kept(folder, name)}'
    if report[0] == 'done':
        finite = all(math.isfinite(x) for x in report[1] + report[2])
        end = f'the run goes on to its end; levels and weights finite: {finite}'
        return title, shorten(warned[0]), left, end
    message = ' '.join([*warned[:1], report[1]])
    again = same(train(toy, folder, name, workers=kwargs.get('workers', 0)), whole)
    if again.startswith('no'):
        (folder / name / 'last_checkpoint').write_text(
            str(folder / name / 'epoch_3.pth')
        )
        older = same(train(toy, folder, name), whole)
        again = f'{shorten(again, 160)}; from epoch_3.pth: {older}'
    return title, shorten(message), left, again


def truncated(toy: Toy, folder: Path, whole: Report) -> Row:
    """A checkpoint cut to half its length."""
    shutil.copytree(folder / 'whole', folder / 'cut')
    (folder / 'cut' / 'last_checkpoint').write_text(str(folder / 'cut' / 'epoch_4.pth'))
    path = folder / 'cut' / 'epoch_4.pth'
    os.truncate(path, path.stat().st_size // 2)
    for epoch in (5, 6):
        (folder / 'cut' / f'epoch_{epoch}.pth').unlink()
    try:
        check_checkpoint(str(path))
        message = 'nothing'
    except ValueError as error:
        message = f'tools/train.py --resume: {error}'
    host = train(toy, folder, 'cut')
    message += f"; MMSegmentation's own loader: {host[1]}"
    (folder / 'cut' / 'last_checkpoint').write_text(str(folder / 'cut' / 'epoch_3.pth'))
    again = same(train(toy, folder, 'cut'), whole)
    return (
        'truncated checkpoint',
        shorten(message),
        'the one before, epoch_3.pth',
        again,
    )


def lost_rank(toy: Toy, folder: Path) -> Row:
    """One of two processes dies."""
    ranks = [start(toy, folder, 'pair', rank=r, world=2) for r in range(2)]
    whole = [outcome(*rank) for rank in ranks]
    fault = [At(12, lambda runner: None), At(12, die)]
    ranks = [
        start(toy, folder, 'lost', rank=r, world=2, fault=fault[r]) for r in range(2)
    ]
    reports = [outcome(*rank) for rank in ranks]
    left = kept(folder, 'lost')
    ranks = [start(toy, folder, 'lost', rank=r, world=2) for r in range(2)]
    again = [outcome(*rank) for rank in ranks]
    return (
        'one of two ranks dies',
        shorten(f'on the other rank: {reports[0][-1]}'),
        f'latest checkpoint: {left}',
        same(again[0], whole[0]),
    )


def shorten(text: object, length: int = 300) -> str:
    """One line without paths of temporary folders."""
    text = ' '.join(str(text).replace('|', '/').split())
    text = re.sub(r'/tmp/\w+', '...', text)
    return text if len(text) <= length else text[:length] + ' ...'


def rows(moments: int) -> Iterator[Row]:
    """Run all faults."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        toy = Toy(folder / 'toy')
        began = time.time()
        whole = train(toy, folder, 'whole')
        length = time.time() - began
        yield kills(toy, folder, whole, length, moments)
        yield truncated(toy, folder, whole)
        for name, title, action, workers in (
            ('full', 'disk full while saving', small_files, 0),
            ('nan', 'nan logits of one image', poison_logits, 0),
            ('nans', 'nan features of one image', poison_network, 0),
            ('worker', 'a data loader worker dies', lose_worker, 1),
        ):
            fault = At(17, action)
            yield single(toy, folder, whole, name, title, fault=fault, workers=workers)
        yield lost_rank(toy, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--moments', type=int, default=20)
    args = parser.parse_args()
    print('# Faults\n')
    print(
        f'Measured by `benchmarks/faults.py` on {datetime.date.today()}, '
        f'{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, '
        f'mmaslp {mmaslp.__version__}. Runs of {EPOCHS} epochs of 5 iterations; single '
        'faults strike in the third iteration of epoch 4.\n'
    )
    print('| fault | what the user sees | what is kept | resumed run equal? |')
    print('|---|---|---|---|', flush=True)
    for row in rows(args.moments):
        print('| ' + ' | '.join(row) + ' |', flush=True)


if __name__ == '__main__':
    main()
