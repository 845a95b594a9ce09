"""Every calibrator on maps of finished networks: fitted on val, measured on the rest.

    python benchmarks/post_hoc_maps.py SET [SET ...] [--time]

SET is a folder with ``val`` and ``test``, each of ``maps`` and ``masks``; or an .npz
file with ``val_logits``, ``val_labels`` and the same of ``test`` and maybe ``ood``, as
``benchmarks/train.py`` writes it. ``>`` marks what the rule picks from val alone.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mmaslp.calibration import CalibrationTables, Calibrator, fit_tables
from mmaslp.calibration.curves import CENTRES, evaluate
from mmaslp.calibration.fitting.methods import (
    METRICS,
    candidates,
    fit_curves,
    measure_groups,
)
from mmaslp.common.options import TARGETS


def tables_of(images, logits=False):
    tables = CalibrationTables()
    for key, (scores, label) in enumerate(images):
        tables.update(scores, label, key, logits=logits)
    return tables


def folder_images(folder):
    for file in sorted((folder / 'maps').iterdir()):
        values = np.asarray(Image.open(file))
        mask = np.asarray(
            Image.open(folder / 'masks' / f'{file.stem}.png').convert('L')
        )
        yield values / np.float32(np.iinfo(values.dtype).max), mask > 127


def parts_of(path):
    """Tables of val, test and perhaps ood."""
    if path.is_dir():
        return {part: tables_of(folder_images(path / part)) for part in ('val', 'test')}
    data = np.load(path)
    parts = [part for part in ('val', 'test', 'ood') if f'{part}_logits' in data]
    pairs = {
        part: zip(data[f'{part}_logits'], data[f'{part}_labels']) for part in parts
    }
    return {part: tables_of(each, logits=True) for part, each in pairs.items()}


def show(path):
    parts = parts_of(path)
    val = parts.pop('val')
    shipped = {}
    print(path)
    for target in TARGETS:
        chosen = fit_tables(val, target=target)
        counts, images = val.counts.sum(0).numpy(), int(val.images.sum())
        for kind in candidates():
            maps = fit_curves(counts, images, *kind, target)
            mark = '>' if kind == (chosen.method, chosen.by) else ' '
            print(f'{mark} {target:<12}{kind[0]:<12}{kind[1]}')
            for part, tables in parts.items():
                used = tables.images > 0
                of_part = tables.counts[used].numpy()
                logit = evaluate(maps, CENTRES, target)
                logit = np.broadcast_to(logit, of_part.shape[:-1])
                found = measure_groups(of_part, logit)
                before = shipped.setdefault(part, found)
                print(f'    {part:<5}{described(found, before)}')


def described(found, before):
    """Metrics, and the 95 % interval of the change of NLL and Brier score."""
    metrics = ' '.join(f'{k} {v:.4f}' for k, v in zip(METRICS, found.metrics))
    change, error = found.minus(before)
    wide = found.t_value(0.975) * error
    ends = zip(('NLL', 'Brier'), change - wide, change + wide)
    return metrics + ''.join(f' {n} {a:+.4f} {b:+.4f}' for n, a, b in ends)


def timing():
    """Of one map of 512 x 512 on one thread."""
    torch.set_num_threads(1)
    rows = torch.linspace(-8, 8, 512)
    logit = (8 - (rows[:, None] ** 2 + rows**2).sqrt() * 2).contiguous()
    prob, label = logit.sigmoid(), (logit > 1).byte()
    ends = np.array([0.0, 16.0])
    by_band = [(ends, 0.2 + ends * each / 6) for each in range(1, 6)]
    calibrator = Calibrator('platt', 'band', 'confidence', by_band)
    tables = CalibrationTables()
    for name, call in (
        ('apply', lambda: calibrator(prob)),
        ('update', lambda: tables.update(prob, label, 0)),
    ):
        times = []
        for _ in range(100):
            start = time.process_time()
            call()
            times.append(time.process_time() - start)
        print(f'{name}: {min(times) / prob.numel() * 1e9:.1f} ns per pixel')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('sets', nargs='*', type=Path)
    parser.add_argument('--time', action='store_true', help='measure the speed as well')
    args = parser.parse_args()
    for path in args.sets:
        show(path)
    if args.time:
        timing()


if __name__ == '__main__':
    main()
