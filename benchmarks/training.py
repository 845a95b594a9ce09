"""Training and testing of the runs, in several processes."""

import copy
import json
import math
import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from jobs import VALIDATION, Job, check_jobs, make_config
from mmengine.runner import find_latest_checkpoint
from post_hoc import fit
from records import Records

from mmaslp.files.atomic_write import atomic_write
from mmaslp.hosts.mmseg.runs import build_runner
from mmaslp.hosts.mmseg.testing import evaluate, test_sets

EVALS = ('ece', 'sod', 'iou')


def run(job: Job) -> None:
    """Train and test once, or continue an interrupted run.

    Args:
        job (Job): The run. Its results are written to ``job.results``.
    """
    start = time.monotonic()
    job.check_unchanged()  # this may be hours after the table was started
    cfg = make_config(job)
    cfg.dump(job.folder / 'config.py')
    checkpoint = latest_checkpoint(job.folder)
    if checkpoint is not None:
        cfg.update(load_from=checkpoint, resume=True)
    runner = build_runner(cfg)
    runner.train()
    trained = time.monotonic() - start
    levels = runner.message_hub.get_info('aslp') if job.spec['hook'] else None
    cfg.update(load_from=latest_checkpoint(job.folder), resume=False)
    for file in job.folder.glob('epoch_*.pth'):
        if str(file) != cfg.load_from:
            file.unlink()
    sets = test_sets(cfg, [VALIDATION] if job.setting.study else None)
    evaluations = {'': evaluate(cfg, sets, evals=EVALS)}
    record = {}
    for name in job.post_hoc:
        found, hook = fit(name, cfg)
        record.update(found)
        if hook is not None:
            # In a folder of its own: the figures of single images stay comparable.
            tested = copy.deepcopy(cfg)
            tested.update(
                custom_hooks=[*cfg.custom_hooks, hook], work_dir=str(job.folder / name)
            )
            evaluations[f'+{name}'] = evaluate(tested, sets, evals=EVALS)
    record.update(
        job.describe(),
        digest=job.digest,
        evaluations={k: summarise(v) for k, v in evaluations.items()},
        alpha=None
        if levels is None
        else [round(a, 5) for a in levels['alpha'].tolist()],
        **_profile(levels),
        seconds=dict(train=trained, test=time.monotonic() - start - trained),
        date=time.strftime('%Y-%m-%d'),
    )
    job.check_unchanged()
    atomic_write(job.results, json.dumps(record) + '\n')


def _profile(levels: dict[str, Any] | None) -> dict[str, list[float]]:
    """Levels of the bands at the end, if there are any."""
    if levels is None or levels['profile'] is None:
        return {}
    return dict(profile=levels['profile'].tolist())


def latest_checkpoint(folder: Path) -> str | None:
    """The checkpoint to continue from, or None.

    A run that was killed while it wrote a checkpoint leaves an incomplete file, and may
    leave the name of a removed file. The host keeps the previous checkpoint until the
    next one is written: of several, the first is complete.
    """
    named = find_latest_checkpoint(str(folder))
    if named is not None and Path(named).is_file():
        return named
    files = sorted(folder.glob('epoch_*.pth'), key=lambda file: int(file.stem[6:]))
    return str(files[0]) if len(files) > 1 else None


def summarise(results: dict[str, dict]) -> dict[str, dict]:
    """Keep of an evaluation the metrics, the bins and the intervals of each set."""
    kept = {}
    for name, entry in results.items():
        metrics = {k: _defined(v) for k, v in entry['metrics'].items()}
        bins = {k: entry['result']['bins'][k] for k in ('count', 'right', 'conf')}
        images = entry['result']['num_images']
        ood = entry['ood']
        kept[name] = dict(ood=ood, figures=metrics, bins=bins, num_images=images)
        if 'bands' in entry['result']:
            kept[name]['bands'] = entry['result']['bands']
        if 'intervals' in entry['result']:
            kept[name]['intervals'] = {
                key: [_defined(end) for end in ends]
                for key, ends in entry['result']['intervals'].items()
            }
    return kept


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value


def run_missing(jobs: Sequence[Job], records: Records, workers: int) -> list[str]:
    """Run the missing runs, ``workers`` at a time.

    Args:
        jobs (Sequence[Job]): In the order to start them.
        records (Records): The existing results; those of the runs are added.
        workers (int): Number of processes, each with one thread.

    Returns:
        list[str]: A line about each run that failed; the others have then ended.

    Raises:
        ValueError: See :func:`jobs.check_jobs`.
    """
    left = [job for job in jobs if records.find(job) is None]
    check_jobs(jobs, left)
    print(f'{len(jobs) - len(left)} of {len(jobs)} runs are there', flush=True)
    failed = _run_all(left, workers)
    records.add(jobs)
    return failed


def _run_all(left: Sequence[Job], workers: int) -> list[str]:
    os.environ['OMP_NUM_THREADS'] = '1'
    progress, number = _Progress(len(left)), workers
    failed: list[str] = []
    while left:
        lost = []
        with ProcessPoolExecutor(
            number, get_context('spawn'), initializer=_end_with, initargs=(os.getpid(),)
        ) as pool:
            running = {pool.submit(_quietly, job): job for job in left}
            try:
                for future in as_completed(running):
                    job = running[future]
                    try:
                        error = future.result()
                    except BrokenProcessPool:
                        lost.append(job)
                        continue
                    progress.step(job, error)
                    if error is not None:
                        failed.append(f'{job.folder}: {error}')
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        # A killed process ends the pool and does not say what it ran. With one run at a
        # time, it was the first.
        if len(lost) == len(left) and number == 1:
            failed.append(f'{left[0].folder}: its process was killed')
            lost.remove(left[0])
            number = workers
        elif len(lost) == len(left):
            number = 1
        left = [job for job in left if job in lost]
        if left:
            print(f'a process was killed: {len(left)} runs start again', flush=True)
    return failed


class _Progress:
    """Prints the finished runs and the time for the rest."""

    def __init__(self, number: int) -> None:
        self.number, self.done, self.start = number, 0, time.monotonic()

    def step(self, job: Job, error: str | None) -> None:
        self.done += 1
        rest = (time.monotonic() - self.start) / self.done * (self.number - self.done)
        state = 'FAILED' if error is not None else 'done'
        print(
            f'{self.done}/{self.number} {state} {job.folder}, {rest / 60:.0f} min left',
            flush=True,
        )


def end(failed: Sequence[str]) -> None:
    """Exit with the failures, if any, after all results have been shown."""
    if failed:
        sys.exit('\n'.join(['failed (see run.log in the folder):', *failed]))


def _end_with(parent: int) -> None:
    """End this process soon after its parent was killed.

    If the table is started again, it would write to the folder that this run uses.
    It looks once a second.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _quietly(job: Job) -> str | None:
    """Run with all output in a file of the run; return the error, if any."""
    job.folder.mkdir(parents=True, exist_ok=True)
    with open(job.folder / 'run.log', 'a', encoding='utf-8') as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            run(job)
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            return repr(error)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
    return None
