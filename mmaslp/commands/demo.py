"""Train a network with BCE and with levels by band on built-in data, and compare them.

It takes four to ten minutes on two cores. --maps needs no MMSegmentation and takes
seconds: built-in maps of an over-confident network are measured and calibrated.

Example:
    mmaslp demo --maps
"""

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
from typing import Any

from .arguments import CommandParser, need_mmseg

# From the name in the table to the config below configs/demo.
MODELS = {
    'BCE': 'bce',
    'border levels': 'aslp_fb_border',
    'image levels, MC': 'aslp_mc',
}
COLUMNS = {
    'ece': 'ECE',
    'ece_band': 'ECE by band',
    'oe': 'OE',
    'acc': 'accuracy',
    'mIoU %': 'mIoU %',
    'nll': 'NLL',
}
RECIPE = (
    'for your network: fit a calibrator, always. Add object-free windows if the '
    'network will meet images without an object. Levels are for networks that no '
    'calibrator can follow.'
)
_VALIDATION = re.compile(r'Epoch\(val\)\s+\[(\d+)\].*?calib/ece: ([\d.]+)')


def add_arguments(parser: CommandParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add('--work-dir', default='work_dirs/demo', type=Path, help='where to write')
    add('--epochs', default=150, type=int, help='length of each training')
    add('--seed', default=0, type=int, help='of the weights and of the order of images')
    add(
        '--models',
        nargs='+',
        choices=MODELS,
        default=['BCE', 'border levels'],
        help='what to train and compare',
    )
    add('--maps', action='store_true', help='measure and calibrate built-in maps')
    add('--overwrite', action='store_true', help='replace an earlier demo there')


def run(args: argparse.Namespace) -> None:
    """Run the demo."""
    if args.maps:
        _show_maps(args.work_dir)
        return
    need_mmseg('mmaslp demo without --maps')
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


def _show_maps(folder: Path) -> None:
    """Print the three commands of the first door as they run."""
    from ..files.synthetic import write_demo_maps
    from . import run_command

    val, test = (write_demo_maps(folder, split) for split in ('val', 'test'))
    calibrator = folder / 'calibrator.json'
    out = folder / 'test' / 'calibrated'
    for words in (
        ('fit', *val, '--out', calibrator),
        ('apply', calibrator, test[0], '--out', out),
        ('eval-maps', test[0], out, test[1], '--plot', folder / 'maps.png'),
    ):
        print(f'\n$ mmaslp {" ".join(map(str, words))}')
        if run_command(words[0], [*map(str, words[1:])]):
            raise ValueError(f'mmaslp {words[0]} ended with an error, see above')


def run_demo(
    work_dir: Path,
    *,
    models: Sequence[str] = ('BCE', 'border levels'),
    epochs: int = 150,
    seed: int = 0,
    overwrite: bool = False,
    quiet: bool = False,
) -> None:
    """Train and test models, all at once; print a table and the files."""
    from ..calibration.calibrator import Calibrator
    from ..common.outputs import check_output
    from ..report.inputs import results_of_files
    from ..report.page import json_beside, write_report
    from ..report.text_table import format_table

    # The layers are so small that more threads make it slower.
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    page = work_dir / 'report.html'
    check_output(page, 'report')
    _check_folders(work_dir, models, overwrite)
    trainings = {}
    tests = {}
    for name in models:
        path = f'mmaslp::demo/{MODELS[name]}.py'
        folder = work_dir / MODELS[name]
        options: list[Any] = ['--work-dir', folder, '--cfg-options']
        options += [f'train_cfg.max_epochs={epochs}', f'param_scheduler.0.end={epochs}']
        options += [f'randomness.seed={seed}']
        options += [f'train_cfg.val_interval={max(1, epochs // 50)}']
        trainings[name] = ['train', path, *['--overwrite'] * overwrite, *options]
        tests[name] = ['test', path, folder / f'epoch_{epochs}.pth', '--eval']
        tests[name] += ['ece', 'iou', '--report', folder / 'report.html']
        tests[name] += ['--name', name, *options]

    logs = {name: work_dir / MODELS[name] / 'train.log' for name in models}
    _run_all(trainings, logs, 0 if quiet else epochs)
    _run_all(tests, {name: log.with_name('test.log') for name, log in logs.items()}, 0)
    rows = {}
    for name, log in logs.items():
        tested = json.loads((log.parent / 'eval' / 'results.json').read_text())
        del tested['format']
        for test_set, metrics in tested.items():
            for end, before in (('', ''), (' + calibrator', 'calibrated_')):
                if f'{before}ece' in metrics:
                    rows[f'{name}{end}, {test_set}'] = {
                        label: metrics.get(before + key)
                        for key, label in COLUMNS.items()
                    }

    print(f'\n{format_table(rows, list(COLUMNS.values()))}\n')
    for name, log in logs.items():
        for line in log.read_text(encoding='utf-8').splitlines():
            if 'WARNING' in line and 'ASLP: ' in line:
                print(f'{name}: {line.split("ASLP: ")[1]}\n')
        file = log.with_name('calibrator.json')
        if file.is_file():
            reason = Calibrator.load(file).record['reason']
            print(f'{name}, calibrator: {reason}\n')

    print(f'{RECIPE}\n')
    pages = [log.parent / 'report.html' for log in logs.values()]
    write_report(page, results_of_files([*map(json_beside, pages)]), title='Demo')
    print('reports, with diagrams and pictures:')
    for path in (*pages, page):
        print(f'  {path}')


def _check_folders(work_dir: Path, models: Sequence[str], overwrite: bool) -> None:
    """Refuse, before the first log is emptied, what would be lost."""
    from ..common.outputs import check_output
    from ..integrations.mmseg.training import earlier_training

    for folder in (work_dir / MODELS[name] for name in models):
        for log in ('train.log', 'test.log'):
            check_output(folder / log, 'log')
        if earlier_training(str(folder)) and not overwrite:
            raise ValueError(
                f'{folder} holds a training already: name another folder with '
                '--work-dir, or replace it by --overwrite'
            )


def _run_all(
    commands: Mapping[str, Sequence[Any]], logs: Mapping[str, Path], epochs: int
) -> None:
    """Run commands at once, all or none; print ten validations of ``epochs``."""
    with ExitStack() as stack:
        running = {}
        logs_read = {}
        for name, words in commands.items():
            logs[name].parent.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, '-m', 'mmaslp', *map(str, words)]
            file = stack.enter_context(open(logs[name], 'w', encoding='utf-8'))
            print(f'$ mmaslp {shlex.join(command[3:])}', file=file, flush=True)
            running[name] = subprocess.Popen(
                command, stdout=file, stderr=subprocess.STDOUT
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
                    sys.exit(f'{name}: {process.args} failed, see {logs[name]}')
                for found in map(_VALIDATION.search, logs_read[name]):
                    if found and int(found[1]) % max(1, epochs // 10) == 0 < epochs:
                        done = int(found[1])
                        ece = f'validation ECE {found[2]}'
                        print(f'[{name}] epoch {done}/{epochs}  {ece}', flush=True)
