#!/usr/bin/env python
"""Train methods on folders of images and masks, and tabulate their calibration.

Each run is ``tools/train.py`` and ``tools/test.py`` on a config that is written to its
folder; a run that has its results is not repeated, one that was interrupted resumes.

    python benchmarks/calibration.py --data ../shared/data/ccp_person \
        ../shared/data/dsb2018_nuclei ../shared/data/sd_saliency_900 \
        --ood ../shared/data/dtd_ood --methods bce aslp_mc aslp_fb --epochs 25
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from mmengine.runner import find_latest_checkpoint

ROOT = Path(__file__).resolve().parents[1]
METHODS = ('bce', 'aslp_mc', 'aslp_fb')
COLUMNS = ('ece', 'oe', 'nll', 'brier', 'acc', 'conf', 'mIoU %')
CONFIG = """_base_ = {base!r}
train_dataloader = dict(num_workers=0, persistent_workers=False,
                        dataset=dict(data_root={data!r}{limit}))
val_dataloader = dict(num_workers=0, persistent_workers=False,
                      dataset=dict(data_root={data!r}))
test_dataloader = dict(num_workers=0, persistent_workers=False,
                       dataset=dict(data_root={data!r}))
train_cfg = dict(max_epochs={epochs})
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=1e-5, begin=0, end={epochs},
                        by_epoch=True)]
default_hooks = dict(checkpoint=dict(interval=5, max_keep_ckpts=2))
randomness = dict(seed={seed})
ood_sets = {ood}
"""


def write_config(args, folder, data, method, seed):
    """Write the config of one run."""
    sets = ', '.join(
        f'{path.name!r}: dict(type="SODDataset", data_root={str(path.resolve())!r}, '
        'split="test", test_mode=True, pipeline={{_base_.test_pipeline}})'
        for path in args.ood
    )
    text = CONFIG.format(
        base=str(ROOT / 'configs' / 'demo' / f'folder_{method}.py'),
        data=str(data.resolve()),
        limit=f', indices={args.train_images}' if args.train_images else '',
        epochs=args.epochs,
        seed=seed,
        ood='{' + sets + '}',
    )
    path = folder / 'config.py'
    path.write_text(text, encoding='utf-8')
    return path


def run_tool(name, *args, log):
    """Run a tool of the repository with its output in a file.

    Raises:
        SystemExit: If it fails.
    """
    command = [sys.executable, str(ROOT / 'tools' / name), *map(str, args)]
    with open(log, 'a', encoding='utf-8') as file:
        done = subprocess.run(command, stdout=file, stderr=file, check=False)
    if done.returncode:
        sys.exit(f'{" ".join(command)} failed, see {log}')


def run(args, folder, data, method, seed):
    """Train and test once, unless the results are there."""
    results = folder / 'eval' / 'results.json'
    if results.is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    config = write_config(args, folder, data, method, seed)
    resume = ['--resume'] if find_latest_checkpoint(str(folder)) else []
    log = folder / 'run.log'
    run_tool('train.py', config, '--work-dir', folder, *resume, log=log)
    checkpoint = folder / f'epoch_{args.epochs}.pth'
    test = ('--work-dir', folder, '--eval', 'ece', 'iou')
    run_tool('test.py', config, checkpoint, *test, log=log)


def collect(args):
    """Read the results: {set: {method: {test set: {figure: [value per seed]}}}}."""
    found = {}
    for data in args.data:
        for method in args.methods:
            for seed in range(args.seeds):
                path = args.out / data.name / method / f'seed{seed}'
                results = json.loads((path / 'eval' / 'results.json').read_text())
                for test_set, figures in results.items():
                    row = found.setdefault(data.name, {}).setdefault(method, {})
                    for key, value in figures.items():
                        row.setdefault(test_set, {}).setdefault(key, []).append(value)
    return found


def markdown(found):
    """Lay out the results, mean and spread over seeds."""
    lines = [
        f'| data | method | {" | ".join(COLUMNS)} |',
        f'|---|---|{"---|" * len(COLUMNS)}',
    ]
    for data, methods in found.items():
        for method, sets in methods.items():
            for test_set, figures in sets.items():
                where = data if test_set == 'test' else f'{data}, {test_set}'
                cells = (cell(figures.get(key, [None])) for key in COLUMNS)
                lines.append(f'| {where} | {method} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def cell(values):
    """Format the figures of the seeds."""
    if None in values:
        return '-'
    mean = f'{statistics.fmean(values):.4f}'
    return f'{mean} ± {statistics.stdev(values):.4f}' if len(values) > 1 else mean


def main():
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', nargs='+', type=Path, required=True)
    parser.add_argument('--ood', nargs='*', type=Path, default=[])
    parser.add_argument('--methods', nargs='+', choices=METHODS, default=METHODS)
    parser.add_argument('--epochs', type=int, default=25)
    parser.add_argument('--seeds', type=int, default=1)
    parser.add_argument('--train-images', type=int, help='use the first N only')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/calibration'))
    parser.add_argument('--json', type=Path, help='write the raw results here')
    args = parser.parse_args()
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    jobs = [
        (args.out / data.name / method / f'seed{seed}', data, method, seed)
        for seed in range(args.seeds)
        for data in args.data
        for method in args.methods
    ]
    start = time.monotonic()
    for number, (folder, *job) in enumerate(jobs, 1):
        run(args, folder, *job)
        left = (time.monotonic() - start) / number * (len(jobs) - number)
        print(f'{number}/{len(jobs)} {folder}, {left / 60:.0f} min left', flush=True)
    found = collect(args)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        settings = {'epochs': args.epochs, 'train_images': args.train_images}
        raw = {'date': time.strftime('%Y-%m-%d'), **settings, 'results': found}
        args.json.write_text(json.dumps(raw, indent=1) + '\n')
    print(markdown(found))


if __name__ == '__main__':
    main()
