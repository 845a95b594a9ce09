#!/usr/bin/env python
"""Train the demo network with BCE and with ASLP, and compare their calibration."""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from mmaslp.evaluation.results import load_result
from mmaslp.visualization.reliability import reliability_figure, save_figure
from mmaslp.visualization.text_table import format_table

ROOT = Path(__file__).resolve().parents[1]
MODELS = {'BCE': 'bce', 'ASLP-MC': 'aslp_mc', 'ASLP-FB': 'aslp_fb'}
COLUMNS = {
    'ece': 'ECE',
    'oe': 'OE',
    'acc': 'accuracy',
    'mIoU %': 'mIoU %',
    'nll': 'NLL',
}
_EPOCH = re.compile(r'Epoch\(train\)\s+\[(\d+)\]\[.*?\bloss: ([\d.]+)')
_VALIDATION = re.compile(r'Epoch\(val\)\s+\[(\d+)\].*?calib/ece: ([\d.]+)')


def run(name, command, log, show):
    """Run one tool, its output in a file, the lines that ``show`` turns up printed.

    Raises:
        SystemExit: If the tool fails; the end of its output is printed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, *map(str, command)]
    with (
        open(log, 'w', encoding='utf-8') as file,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # The draws depend on the paths of the images: relative ones to this folder
            # give the same figures wherever the repository lies.
            cwd=ROOT,
        ) as process,
    ):
        for line in process.stdout:
            file.write(line)
            shown = show(line)
            if shown:
                print(f'[{name}] {shown}', flush=True)
    if process.returncode:
        print(''.join(log.read_text(encoding='utf-8').splitlines(True)[-30:]))
        sys.exit(f'{name}: {" ".join(command)} failed, see {log}')


def progress(epochs, start):
    """Turn lines of the training log into a line of progress every five epochs."""

    def show(line):
        trained, validated = _EPOCH.search(line), _VALIDATION.search(line)
        if trained and int(trained[1]) % 5 == 0:
            done = int(trained[1])
            left = (time.monotonic() - start) / done * (epochs - done)
            return f'epoch {done}/{epochs}  loss {trained[2]}  {left:.0f} s left'
        return (
            validated
            and f'epoch {validated[1]}/{epochs}  validation ECE {validated[2]}'
        )

    return show


def train_and_test(name, config, work_dir, epochs):
    """Train and test one model; return its figures by test set."""
    path = ROOT / 'configs' / 'demo' / f'{config}.py'
    options = [f'train_cfg.max_epochs={epochs}', f'param_scheduler.0.end={epochs}']
    options = ['--work-dir', work_dir, '--cfg-options', *options]
    train = [ROOT / 'tools' / 'train.py', path, *options]
    run(name, train, work_dir / 'train.log', progress(epochs, time.monotonic()))
    checkpoint = work_dir / f'epoch_{epochs}.pth'
    test = [ROOT / 'tools' / 'test.py', path, checkpoint, '--eval', 'ece', 'iou']
    test += ['--report', work_dir / 'report.html', *options]
    print(f'[{name}] testing', flush=True)
    run(name, test, work_dir / 'test.log', lambda line: None)
    return json.loads((work_dir / 'eval' / 'results.json').read_text())


def main():
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work-dir', default='work_dirs/demo', type=Path)
    parser.add_argument('--epochs', default=100, type=int)
    parser.add_argument(
        '--models', nargs='+', choices=list(MODELS), default=['BCE', 'ASLP-MC']
    )
    args = parser.parse_args()
    # The layers are so small that more threads cost more than they give.
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    rows = {}
    models = {name: MODELS[name] for name in args.models}
    for name, config in models.items():
        folder = (args.work_dir / config).resolve()
        results = train_and_test(name, config, folder, args.epochs)
        for test_set, figures in results.items():
            rows[f'{name}, {test_set}'] = {
                label: figures.get(key) for key, label in COLUMNS.items()
            }
    print(f'\n{format_table(rows, list(COLUMNS.values()))}\n')
    print('reliability diagrams:')
    measured = {}
    for name, config in models.items():
        folder = args.work_dir / config / 'eval' / 'test'
        measured[name] = load_result(folder / 'calibration_test.json')[0]
        print(f'  {name:8} {folder / "reliability_test.png"}')
    together = args.work_dir / 'reliability.png'
    save_figure(reliability_figure(measured), together)
    print(f'  {"together":8} {together}')
    print('reports, with the most over-confident images:')
    for name, config in models.items():
        print(f'  {name:8} {args.work_dir / config / "report.html"}')


if __name__ == '__main__':
    main()
