"""Compare trainings on images with an object and without one.

    python benchmarks/windows.py RUNS --regime few --json windows.json

``RUNS/<regime>/<set>/<training>/seed<k>`` are folders of train.py that were given
``--ood`` and ``--other``. After each training comes the default calibrator, fitted to
the validation images. Measured are the test images, and images without an object:
textures, images of another set, and object-free windows of the test images. The shares
in which something is found are those of such images. Runs that were given ``--shift``
are measured on corrupted test images too.

Figures are means over seeds. Intervals of 95 % are over images, the same ones for all
trainings of a set. Ratios to ``--reference`` are means over sets; a set counts if it
has both. ``--part val`` measures validation images instead of test images: by it
choices are made. So is that of "where needed": windows are left out if the network
trained without them finds something in fewer than 5 % of the object-free windows of
the validation images.
"""

import argparse
import json
import platform
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import weights_of

from mmaslp import fit_calibrator

RESAMPLES = 1000
FLOOR = 0.001
# Share of object-free windows of validation images in which a network that was trained
# without windows finds something, from which on windows are needed.
NEEDED = 0.05
# What is measured on images without an object, and its name in maps.npz.
EMPTY = {'textures': 'ood', 'other': 'other', 'windows': 'windows'}


@dataclass(frozen=True)
class Sums:
    """Sums of every image of a part, ``(I, ...)``."""

    nll: np.ndarray
    pixels: np.ndarray
    right: np.ndarray
    hits: np.ndarray  # pixels that are foreground and found
    found: np.ndarray
    true: np.ndarray
    gaps: np.ndarray  # (I, 10) confidence less right, by bin of the confidence


def sums_of(logits: np.ndarray, labels: np.ndarray) -> Sums:
    """Sums of images ``(I, H, W)``."""
    flat = logits.reshape(len(logits), -1).astype(np.float64)
    true = labels.reshape(len(labels), -1) == 1
    nll = np.logaddexp(0, np.where(true, -flat, flat))
    mask = flat > 0
    confidence = 1 / (1 + np.exp(-np.abs(flat)))
    number = np.clip(np.ceil(confidence * 10) - 1, 0, 9).astype(int)
    gap = confidence - (mask == true)
    gaps = np.stack([np.bincount(bins, own, 10) for bins, own in zip(number, gap)])
    return Sums(
        nll.sum(1),
        np.full(len(flat), flat.shape[1]),
        (mask == true).sum(1),
        (mask & true).sum(1),
        mask.sum(1),
        true.sum(1),
        gaps,
    )


def figures(sums: Sums, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Figures of resamples, ``(R,)`` each."""
    pixels = weights @ sums.pixels
    hits = weights @ sums.hits
    union = weights @ (sums.found + sums.true - sums.hits)
    background = (pixels - union) / np.maximum(pixels - hits, 1)
    found = {
        'nll': weights @ sums.nll / pixels,
        'ece': np.abs(weights @ sums.gaps).sum(1) / pixels,
        'found': weights @ (sums.found > 0) / weights.sum(1),
    }
    if sums.true.any():
        found['accuracy'] = weights @ sums.right / pixels
        found['miou'] = (hits / np.maximum(union, 1) + background) / 2
    return found


def measure(folder: Path, part: str) -> dict[str, dict[str, np.ndarray]]:
    """Figures of a run: raw and calibrated, by part."""
    with np.load(folder / 'maps.npz') as file:
        maps = {key: file[key] for key in file if 'names' not in key}
    calibrator = fit_calibrator(maps['val_logits'], maps['val_labels'], logits=True)
    others = {'windows': 'val_windows', 'corrupted': 'val_shift'}
    if part == 'test':
        others = {**EMPTY, 'corrupted': 'shift'}
    parts = {part: part, **others}
    rows: dict[str, dict[str, np.ndarray]] = {'raw': {}, 'calibrated': {}}
    for name, key in parts.items():
        if f'{key}_logits' not in maps:
            continue
        logits, labels = maps[f'{key}_logits'], maps[f'{key}_labels']
        for row, given in (('raw', logits), ('calibrated', calibrator.logits(logits))):
            own = figures(sums_of(given, labels), weights_of(len(logits), RESAMPLES))
            end = '' if name == part else f'_{name}'
            rows[row] |= {f'{key}{end}': values for key, values in own.items()}
    return rows


def interval(values: np.ndarray) -> list[float]:
    """The value of all images, and its 95 % interval."""
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return [round(float(value), 6) for value in (values[0], low, high)]


Seeds = dict[str, dict[str, dict[str, np.ndarray]]]


def mean_of(seeds: Seeds, numbers: Sequence[str], row: str) -> dict[str, np.ndarray]:
    """Means over some seeds of a training."""
    keys = seeds[numbers[0]][row]
    return {key: np.mean([seeds[k][row][key] for k in numbers], 0) for key in keys}


def change_of(
    own: dict[str, np.ndarray], plain: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Ratios to the reference, of accuracy, mIoU and ECE differences.

    Figures below FLOOR count as FLOOR: shares of 0 have a ratio of 1.
    """
    return {
        key: own[key] - plain[key]
        if key.removesuffix('_corrupted') in ('accuracy', 'miou', 'ece')
        else np.maximum(own[key], FLOOR) / np.maximum(plain[key], FLOOR)
        for key in own.keys() & plain.keys()
    }


def table(runs: dict[tuple[str, str], Seeds], reference: str, row: str) -> Any:
    """Means over seeds by training and set, and changes to BCE of the same seeds."""
    found: dict[str, Any] = defaultdict(dict)
    changes: dict[str, list[dict[str, np.ndarray]]] = defaultdict(list)
    for (name, training), seeds in sorted(runs.items()):
        own = mean_of(seeds, sorted(seeds), row)
        entry: dict[str, Any] = {key: interval(values) for key, values in own.items()}
        entry['seeds'] = len(seeds)
        base = runs.get((name, reference), {})
        both = sorted(seeds.keys() & base.keys())
        if both and training != reference:
            change = change_of(mean_of(seeds, both, row), mean_of(base, both, row))
            entry['change'] = {key: interval(value) for key, value in change.items()}
            changes[training].append(change)
        found[training][name] = entry

    for training, sets in changes.items():
        keys = [key for key in sets[0] if all(key in own for own in sets)]
        found[training]['mean'] = {
            key: interval(np.mean([own[key] for own in sets], 0)) for key in keys
        }
    return found


def rows_of(
    folder: Path, part: str, trainings: Sequence[str] = ()
) -> dict[tuple[str, str], Seeds]:
    """Rows of all runs of a regime; they are kept beside the maps."""
    runs: dict[tuple[str, str], Seeds] = defaultdict(dict)
    for record in sorted(folder.glob('*/*/seed*/run.json')):
        name, training = record.parts[-4:-2]
        if trainings and training not in trainings:
            continue
        kept = record.parent / f'windows_{part}.npz'
        if not kept.is_file():
            measured = measure(record.parent, part)
            arrays = {
                f'{row}|{key}': values
                for row, own in measured.items()
                for key, values in own.items()
            }
            np.savez_compressed(kept, **arrays)

        rows: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
        with np.load(kept) as file:
            for key in file:
                row, _, figure = key.partition('|')
                rows[row][figure] = file[key]
        runs[name, training][record.parent.name] = rows
    return runs


def where_needed(
    runs: dict[tuple[str, str], Seeds],
    val: dict[tuple[str, str], Seeds],
    reference: str,
) -> dict[tuple[str, str], Seeds]:
    """Trainings with windows only where the reference finds something in windows.

    The windows are those of the validation images, so the choice sees no test image.
    """
    found = {}
    for (name, training), seeds in runs.items():
        if 'windows' not in training or (name, reference) not in val:
            continue
        own = val[name, reference]
        share = np.mean([seed['raw']['found_windows'][0] for seed in own.values()])
        plain = runs[name, reference]
        kept = {number: plain[number] for number in seeds.keys() & plain.keys()}
        found[name, f'{training} where needed'] = seeds if share >= NEEDED else kept
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('runs', type=Path)
    parser.add_argument('--regime', default='few')
    parser.add_argument('--reference', default='bce')
    parser.add_argument('--part', choices=('val', 'test'), default='test')
    parser.add_argument(
        '--trainings', nargs='*', default=(), help='their folders; all by default'
    )
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    folder = args.runs / args.regime
    runs = rows_of(folder, args.part, args.trainings)
    val = rows_of(folder, 'val', args.trainings)
    runs |= where_needed(runs, val, args.reference)
    found = {row: table(runs, args.reference, row) for row in ('raw', 'calibrated')}
    show(found['calibrated'], args.reference)
    if args.json:
        head = {
            'machine': platform.processor() or platform.machine(),
            'date': time.strftime('%Y-%m-%d'),
            'regime': args.regime,
            'part': args.part,
        }
        args.json.write_text(json.dumps({**head, **found}) + '\n')


def show(rows: dict[str, Any], reference: str) -> None:
    """Print each training by set, and the mean of its changes."""
    keys = ['nll', 'accuracy', 'miou', *(f'nll_{name}' for name in EMPTY)]
    keys += ['nll_corrupted', 'miou_corrupted']
    keys += [f'found_{name}' for name in EMPTY]
    print('| training | set | seeds | ' + ' | '.join(keys) + ' |')
    print('|---' * (len(keys) + 3) + '|')
    for training, sets in rows.items():
        for name, entry in sets.items():
            if name != 'mean':
                line = [f'{entry[key][0]:.4f}' if key in entry else '' for key in keys]
                print(
                    f'| {training} | {name} | {entry["seeds"]} | {" | ".join(line)} |'
                )
        if 'mean' in sets:
            mean = sets['mean']
            line = [
                '{:+.4f} [{:+.4f}, {:+.4f}]'.format(*mean[key]) if key in mean else ''
                for key in keys
            ]
            print(f'| {training} over {reference} | | | {" | ".join(line)} |')


if __name__ == '__main__':
    main()
