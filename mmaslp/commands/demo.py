"""Train on nuclei: BCE, object-free windows, levels; each with a calibrator.

One table tells what became of pixels, objects and images, and of windows without a
nucleus. It takes two to three minutes on two cores.

Example:
    mmaslp demo --seed 1
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import CommandParser, need_mmseg

if TYPE_CHECKING:
    from ..evaluation.result import Result

# From the name in the table to the config below configs/demo.
MODELS = {
    'BCE': 'bce',
    'windows': 'windows',
    'levels': 'aslp_fb_border',
    'ASLP': 'aslp_mc',
}
EPOCHS = 40
VALIDATIONS = 10
DEFAULT = ('BCE', 'windows', 'levels')
# What the table shows of the test images: a figure, and what it is of.
COLUMNS = {
    'ece_band': 'pixels: ECE by band',
    'nll': 'NLL',
    'dice': 'Dice',
    'ece_object': 'objects: ECE',
    'dice_error': 'images: Dice error',
}
BELIEVED = 'nothing there: objects believed in'
EMPTY_NLL = 'NLL there'
RECIPE = """\
Lower is better but for Dice. An object is believed in if its probability is 1/2 or
more. For your network: fit a calibrator, always. Train with object-free windows if the
network will meet images without an object. Levels are for networks that no calibrator
can follow. Left out for time: other networks (--models) and seeds
(--seed). docs/mmseg.md has three seeds, and says which differences are noise."""
_VALIDATION = re.compile(r'Epoch\(val\)\s+\[(\d+)\].*?calib/ece: ([\d.]+)')
# Commands one after the other in one process, which imports torch once.
_CHAIN = """\
import json, sys
from mmaslp.commands import main
for words in json.loads(sys.argv[1]):
    if code := main(words):
        sys.exit(code)
"""


def add_arguments(parser: CommandParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add('--work-dir', default='work_dirs/demo', type=Path, help='where to write')
    add('--epochs', default=EPOCHS, type=int, help='length of each training')
    add('--seed', default=0, type=int, help='of the weights and of the order of images')
    add(
        '--models',
        nargs='+',
        choices=MODELS,
        default=list(DEFAULT),
        help='what to train and compare',
    )
    add('--overwrite', action='store_true', help='replace an earlier demo there')


def run(args: argparse.Namespace) -> None:
    """Run the demo."""
    need_mmseg('mmaslp demo')
    from ..common.arguments import check_integer

    check_integer('--epochs', args.epochs, at_least=1)
    check_integer('--seed', args.seed, at_least=0)
    run_demo(
        args.work_dir,
        models=args.models,
        epochs=args.epochs,
        seed=args.seed,
        overwrite=args.overwrite,
        quiet=args.quiet,
    )


def run_demo(
    work_dir: Path,
    *,
    models: Sequence[str] = DEFAULT,
    epochs: int = EPOCHS,
    seed: int = 0,
    overwrite: bool = False,
    quiet: bool = False,
) -> None:
    """Train and test models, all at once; print a table and the files."""
    from ..common.outputs import check_outputs
    from ..evaluation.comparison import Measured, by_images
    from ..evaluation.verdict import main_set, overall_verdict
    from ..report.inputs import results_of_files
    from ..report.page import json_beside, write_report
    from ..report.tables import format_table

    # The layers are so small that more threads make it slower.
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    page = work_dir / 'report.html'
    logs = {name: work_dir / MODELS[name] / 'train.log' for name in models}
    pages = [log.parent / 'report.html' for log in logs.values()]
    written = [*logs.values(), *pages, page, *map(json_beside, [*pages, page])]
    check_outputs({'--work-dir': written}, overwrite=overwrite)
    _check_folders(work_dir, models, overwrite)
    chains = {}
    for name in models:
        path = f'mmaslp::demo/{MODELS[name]}.py'
        folder = work_dir / MODELS[name]
        options: list[Any] = ['--work-dir', folder, '--cfg-options']
        options += [f'train_cfg.max_epochs={epochs}', f'param_scheduler.0.end={epochs}']
        options += [f'randomness.seed={seed}']
        options += [f'train_cfg.val_interval={max(1, epochs // VALIDATIONS)}']
        train = ['train', path, *['--overwrite'] * overwrite, *options]
        test = ['test', path, folder / f'epoch_{epochs}.pth', '--eval', 'ece', 'iou']
        test += ['--report', folder / 'report.html', '--name', name, *options]
        test += ['test_evaluator.0.draw=False']  # the page has the diagrams
        test += ['--overwrite'] * overwrite
        chains[name] = [train, test]

    _run_all(chains, logs, 0 if quiet else epochs)
    rows = {}
    for name, log in logs.items():
        for place, end in enumerate(('', ' + calibrator')):
            if (row := _row(log.parent, place)) is not None:
                rows[f'{name}{end}'] = row
    print(f'\n{format_table(rows, [*COLUMNS.values(), BELIEVED, EMPTY_NLL])}\n')
    for name, log in logs.items():
        for line in log.read_text(encoding='utf-8').splitlines():
            if 'WARNING' in line and 'ASLP: ' in line:
                print(f'{name}: {line.split("ASLP: ")[1]}\n')

    print(f'{RECIPE}\n')
    results = results_of_files([*map(json_beside, pages)])
    members = main_set(by_images([Measured(result) for result in results]))
    print(f'{overall_verdict(members)}\n')
    write_report(page, results, overwrite=overwrite, title='Demo')
    print('reports, with diagrams and pictures:')
    for path in (*pages, page):
        print(f'  {path}')


def _row(folder: Path, place: int) -> dict[str, float] | None:
    """Metrics of a network, raw (0) or calibrated (1); None without a calibrator."""
    from ..evaluation.result_files import load_results

    rows = [
        load_results(folder / 'eval' / test_set / 'calibration_test.json')
        for test_set in ('test', 'empty')
    ]
    if len(rows[0]) <= place:
        return None
    test, empty = (results[place] for results in rows)
    row = {label: test.metrics.get(key, float('nan')) for key, label in COLUMNS.items()}
    return row | {BELIEVED: believed(empty), EMPTY_NLL: empty.metrics['nll']}


def believed(empty: Result) -> float:
    """Share of images in which an object has a probability of 1/2 or more.

    nan if a calibrator cannot tell which objects are real.
    """
    scores = empty.images.scores
    if scores is None:
        return float('nan')
    said = [
        len(objects) > 0 and objects[:, 0].max() >= 0.5 for objects in scores.objects
    ]
    found = empty.metrics.get('empty_found', 0)
    told = any(map(len, scores.objects)) or not found
    return sum(said) / max(len(said), 1) if told else float('nan')


def _check_folders(work_dir: Path, models: Sequence[str], overwrite: bool) -> None:
    """Refuse, before the first log is emptied, what would be lost."""
    from ..integrations.mmseg.training import earlier_training

    for folder in (work_dir / MODELS[name] for name in models):
        if earlier_training(str(folder)) and not overwrite:
            raise ValueError(
                f'{folder} holds a training already: name another folder with '
                '--work-dir, or replace it by --overwrite'
            )


def _run_all(
    chains: Mapping[str, Sequence[Sequence[Any]]],
    logs: Mapping[str, Path],
    epochs: int,
) -> None:
    """Run chains of commands, all or none; print five validations of ``epochs``."""
    with ExitStack() as stack:
        running = {}
        logs_read = {}
        for name, given in chains.items():
            logs[name].parent.mkdir(parents=True, exist_ok=True)
            chain = [[*map(str, words)] for words in given]
            file = stack.enter_context(open(logs[name], 'w', encoding='utf-8'))
            for words in chain:
                print(f'$ mmaslp {shlex.join(words)}', file=file, flush=True)
            running[name] = subprocess.Popen(
                [sys.executable, '-c', _CHAIN, json.dumps(chain)],
                stdout=file,
                stderr=subprocess.STDOUT,
                env=_environment(),
            )
            stack.callback(running[name].wait)
            stack.callback(running[name].terminate)
            logs_read[name] = stack.enter_context(open(logs[name], encoding='utf-8'))

        while running:
            time.sleep(0.5)
            for name, process in [*running.items()]:
                if process.poll() == 0:
                    del running[name]
                elif process.returncode:
                    text = logs[name].read_text(encoding='utf-8')
                    print(*text.splitlines()[-30:], sep='\n')
                    sys.exit(f'{name} failed, see {logs[name]}')
                for found in map(_VALIDATION.search, logs_read[name]):
                    if found and int(found[1]) % max(1, epochs // 5) == 0 < epochs:
                        done = int(found[1])
                        ece = f'validation ECE {found[2]}'
                        print(f'[{name}] epoch {done}/{epochs}  {ece}', flush=True)


def _environment() -> dict[str, str]:
    """That of this process, and freed memory is kept: page faults cost an eighth."""
    keep = {'MALLOC_MMAP_THRESHOLD_': '33554432', 'MALLOC_TRIM_THRESHOLD_': '268435456'}
    return {**keep, **os.environ}
