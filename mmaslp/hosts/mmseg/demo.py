"""The demo: train a network with BCE and with ASLP, compare their calibration."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from ...files.outputs import check_kind
from ...files.results import load_result
from ...report.diagrams import band_figure, reliability_figure
from ...report.inputs import results_of_files
from ...report.page import json_beside, write_report
from ...report.style import save_figure
from ...report.text_table import format_table

__all__ = ['MODELS', 'run_demo']

# From the name in the table to the config below configs/demo.
MODELS = {
    'BCE': 'bce',
    'border levels': 'aslp_fb_border',
    'image levels, MC': 'aslp_mc',
}
COLUMNS = {
    'ece': 'ECE',
    'ece_band': 'ECE band',
    'oe': 'OE',
    'acc': 'accuracy',
    'mIoU %': 'mIoU %',
    'nll': 'NLL',
}
# Of all models together.
DIAGRAMS: dict[str, Callable[..., Any]] = {
    'reliability.png': reliability_figure,
    'bands.png': band_figure,
}
_EPOCH = re.compile(r'Epoch\(train\)\s+\[(\d+)\]\[.*?\bloss: ([\d.]+)')
_VALIDATION = re.compile(r'Epoch\(val\)\s+\[(\d+)\].*?calib/ece: ([\d.]+)')


def run_demo(
    work_dir: Path,
    *,
    models: Sequence[str] = ('BCE', 'border levels'),
    epochs: int = 100,
    overwrite: bool = False,
    quiet: bool = False,
) -> None:
    """Train and test models, one per core at a time; print a table and the files."""
    # The layers are so small that more threads make it slower.
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    folders = {name: work_dir / MODELS[name] for name in models}
    page = work_dir / 'report.html'
    for name in DIAGRAMS:
        check_kind(work_dir / name, 'diagram')
    check_kind(page, 'report')
    rows = {}
    results = _train_and_test_all(folders, epochs, overwrite, quiet)
    for name, tested in results.items():
        for test_set, metrics in tested.items():
            for end, before in (('', ''), (' + calibrator', 'calibrated_')):
                if f'{before}ece' in metrics:
                    rows[f'{name}{end}, {test_set}'] = {
                        label: metrics.get(before + key)
                        for key, label in COLUMNS.items()
                    }
    print(f'\n{format_table(rows, list(COLUMNS.values()))}\n')
    for name, folder in folders.items():
        for line in (folder / 'train.log').read_text(encoding='utf-8').splitlines():
            if 'WARNING' in line and 'ASLP: ' in line:
                print(f'{name}: {line.split("ASLP: ")[1]}\n')
    print('diagrams:')
    measured = {}
    for name, folder in folders.items():
        test = folder / 'eval' / 'test'
        measured[name] = load_result(test / 'calibration_test.json')[0]
        print(f'  {name:14} {test / "reliability_test.png"}')
    for name, draw in DIAGRAMS.items():
        save_figure(draw(measured), work_dir / name)
        print(f'  {"together":14} {work_dir / name}')
    print('reports, with pictures:')
    for name, folder in folders.items():
        print(f'  {name:14} {folder / "report.html"}')
    parts = [json_beside(folder / 'report.html') for folder in folders.values()]
    write_report(page, results_of_files(parts), title='Demo')
    print(f'  {"together":14} {page}')


def _train_and_test_all(
    folders: dict[str, Path], epochs: int, overwrite: bool, quiet: bool
) -> dict[str, dict[str, dict[str, Any]]]:
    """Train and test models, one per core at a time; return their metrics."""
    running: list[subprocess.Popen] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # threads that wait for processes
        try:
            tasks = {
                name: pool.submit(
                    _train_and_test, name, folder, epochs, overwrite, quiet, running
                )
                for name, folder in folders.items()
            }
            for task in as_completed(tasks.values()):  # at once, also of the last one
                task.result()
            return {name: task.result() for name, task in tasks.items()}
        except BaseException:  # failed or interrupted: no training goes on alone
            pool.shutdown(wait=False, cancel_futures=True)
            for process in running:
                process.terminate()
            raise


def _train_and_test(
    name: str,
    work_dir: Path,
    epochs: int,
    overwrite: bool,
    quiet: bool,
    running: list[subprocess.Popen],
) -> dict[str, dict[str, Any]]:
    """Train and test one model; return its metrics by test set."""
    path = f'mmaslp::demo/{MODELS[name]}.py'
    options: list[Any] = ['--work-dir', work_dir, '--cfg-options']
    options += [f'train_cfg.max_epochs={epochs}', f'param_scheduler.0.end={epochs}']
    train = ['train', path, *['--overwrite'] * overwrite, *options]
    show = _silent if quiet else _progress(epochs, time.monotonic())
    _run(name, train, work_dir / 'train.log', show, running)
    checkpoint = work_dir / f'epoch_{epochs}.pth'
    test = ['test', path, checkpoint, '--eval', 'ece', 'iou']
    test += ['--report', work_dir / 'report.html', '--name', name, *options]
    if not quiet:
        print(f'[{name}] testing', flush=True)
    _run(name, test, work_dir / 'test.log', _silent, running)
    return json.loads((work_dir / 'eval' / 'results.json').read_text())


def _run(
    name: str,
    command: Sequence[Any],
    log: Path,
    show: Callable[[str], str | None],
    running: list[subprocess.Popen],
) -> None:
    """Run one command; write its output to a file and print the lines of ``show``.

    The process is in ``running`` until it ends.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, '-m', 'mmaslp', *map(str, command)]
    with (
        open(log, 'w', encoding='utf-8') as file,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        running.append(process)
        for line in process.stdout or ():
            file.write(line)
            shown = show(line)
            if shown:
                print(f'[{name}] {shown}', flush=True)
    running.remove(process)
    if process.returncode:
        print(''.join(log.read_text(encoding='utf-8').splitlines(True)[-30:]))
        sys.exit(f'{name}: {" ".join(command)} failed, see {log}')


def _silent(line: str) -> None:
    """Show nothing of a line."""


def _progress(epochs: int, start: float) -> Callable[[str], str | None]:
    """Turn the training log into a line of progress every five epochs."""

    def show(line: str) -> str | None:
        trained, validated = _EPOCH.search(line), _VALIDATION.search(line)
        if trained and int(trained[1]) % 5 == 0:
            done = int(trained[1])
            left = (time.monotonic() - start) / done * (epochs - done)
            return f'epoch {done}/{epochs}  loss {trained[2]}  {left:.0f} s left'
        if validated:
            return f'epoch {validated[1]}/{epochs}  validation ECE {validated[2]}'
        return None

    return show
