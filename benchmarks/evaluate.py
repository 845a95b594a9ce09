"""Fit calibrators to the maps of finished runs and measure everything.

    python benchmarks/evaluate.py RUNS --regime few --json benchmarks/results/few.json

``RUNS/<regime>/<set>/<method>/seed<k>`` are folders of train.py. Calibrators are fitted
to the validation maps and measured on the test maps and on those without objects. The
JSON file holds the figures of every run and row, then the means over sets and seeds
with 95 % intervals over images; all rows of a set draw the same images. It prints a
table.

A run keeps its figures in ``rows.npz``, with local temperatures in ``rows_local.npz``,
so a later call measures new runs only. Delete these files when calibrators or figures
change.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import weights_of
from lts import fit_pixels, with_bands
from torch import Tensor
from train import load, normalise

from mmaslp import dice_optimal_mask
from mmaslp.calibration import CalibrationTables, fit_tables
from mmaslp.evaluation.evaluator import Evaluator
from mmaslp.metrics import ImageTable
from mmaslp.metrics.bootstrap import percentiles, resample

RESAMPLES = 1000

# Name, by, method and target of each calibrator.
CALIBRATORS = {
    'calibrator': ('auto', 'auto', 'confidence'),
    'calibrator (probability)': ('auto', 'auto', 'probability'),
    **{
        f'{method}{where}': (by, method, 'confidence')
        for method in ('temperature', 'platt', 'isotonic')
        for by, where in (('single', ''), ('band', ' by band'))
    },
    'isotonic (probability)': ('single', 'isotonic', 'probability'),
    'isotonic by band (probability)': ('band', 'isotonic', 'probability'),
}
# All of them correct BCE, these correct what is compared with it.
FEW = ('calibrator', 'calibrator (probability)', 'temperature', 'temperature by band')
# Figures of the library's tables of images, then those of masks.
FIGURES = ('ece_band', 'ece_band_true', 'ece', 'nll', 'brier', 'acc')
PARTS = ('val', 'test', 'ood', 'shift')
REST = (
    *('iou_keep', 'iou_accuracy', 'iou_dice', 'miou_accuracy', 'dice_accuracy'),
    *('ece_em', 'ece_em_chance', 'ece_band_true'),
)
MASKS = ('keep', 'accuracy', 'dice')
TITLES = {
    'ece_band': 'by band', 'ece_band_true': 'true bands', 'ece_em': 'equal mass',
    'ece': 'ECE', 'nll': 'NLL', 'brier': 'Brier', 'acc': 'accuracy',
    'iou_keep': 'IoU', 'miou_keep': 'mIoU', 'dice_keep': 'Dice',
    'dice_accuracy': 'Dice at .5', 'dice_dice': 'Dice, best', 'nll_ood': 'NLL ood',
}  # fmt: skip


def image_table(prob: Tensor, labels: Tensor) -> ImageTable:
    """One row per image."""
    evaluator = Evaluator()
    for key, (image, label) in enumerate(zip(prob, labels)):
        evaluator.add(str(key), image, label)
    return evaluator.result('', '', resamples=0).images


def mask_figures(
    masks: Tensor, labels: Tensor, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Pooled IoU, mIoU and mean Dice of the images, ``(R + 1,)``, by their weights.

    IoU is that of the foreground, mIoU its mean with that of the background. The Dice
    of an image without an object, and without one found, is 1.
    """
    both = (masks & (labels > 0)).flatten(1).sum(1).double().numpy()
    sizes = masks.flatten(1).sum(1).numpy() + labels.flatten(1).sum(1).numpy()
    dice = np.where(sizes > 0, 2 * both / np.maximum(sizes, 1), 1.0)
    union = weights @ (sizes - both)
    pixels = weights.sum(1) * masks[0].numel()
    iou = weights @ both / np.maximum(union, 1)
    background = (pixels - union) / np.maximum(pixels - weights @ both, 1)
    return dict(
        iou=iou, miou=(iou + background) / 2, dice=weights @ dice / weights.sum(1)
    )


def chance(gaps: np.ndarray, pixels: int, fitted: int) -> float:
    """The ECE that is left by chance, where a calibrator is right on average.

    It is fitted to other images than it is measured on, ``fitted`` of them, and each
    bin's mean gap is a normal variate about 0. ``gaps``, ``(I, bins)``, are the sums of
    confidence less correct pixels of each image.
    """
    apart = gaps.std(0, ddof=1) * np.sqrt(1 / len(gaps) + 1 / fitted)
    return float(np.sqrt(2 / np.pi) * apart.sum() / pixels)


def equal_mass(prob: Tensor, labels: Tensor, bins: int = 10) -> np.ndarray:
    """Gaps ``(I, bins)`` of the equal-mass ECE, as :func:`chance` takes them."""
    confidence = torch.maximum(prob, 1 - prob).flatten(1).double().numpy()
    correct = ((prob > 0.5) == (labels > 0)).flatten(1).numpy()
    edges = np.quantile(confidence, np.arange(1, bins) / bins)
    place = np.searchsorted(edges, confidence)
    return np.stack(
        [((place == b) * (confidence - correct)).sum(1) for b in range(bins)], 1
    )


def row_figures(
    probs: dict[str, Tensor], kept: Tensor, labels: dict[str, Tensor]
) -> dict[str, np.ndarray]:
    """All figures of a row, ``(R + 1,)`` each: of all images, then of resamples."""
    prob = probs['test']
    images, pixels = image_table(prob, labels['test']), prob[0].numel()
    found = table_figures(images, FIGURES)
    gaps = dict(
        ece_em=equal_mass(prob, labels['test']),
        ece=images.table.conf - images.table.correct,
        ece_band=(images.bands.conf - images.bands.correct)[:, 0],
    )
    weights = weights_of(len(prob), RESAMPLES)
    found['ece_em'] = np.abs(weights @ gaps['ece_em']).sum(1) / (
        weights.sum(1) * pixels
    )
    for key, each in gaps.items():
        left = chance(each, pixels, len(labels['val']))
        found[f'{key}_chance'] = np.full(len(weights), left)
    masks = dict(
        keep=kept, accuracy=prob > 0.5, dice=dice_optimal_mask(prob[:, None])[:, 0]
    )
    for name in MASKS:
        for key, values in mask_figures(masks[name], labels['test'], weights).items():
            found[f'{key}_{name}'] = values
    for part, keys in (('ood', ('nll',)), ('shift', ('ece_band', 'ece', 'nll'))):
        if part in probs:
            more = table_figures(image_table(probs[part], labels[part]), keys)
            found.update({f'{key}_{part}': more[key] for key in keys})
    return found


def table_figures(images: ImageTable, keys: Sequence[str]) -> dict[str, np.ndarray]:
    """Figures of the library's table of images, see :func:`row_figures`."""
    drawn = resample(images, RESAMPLES)
    return {
        key: np.concatenate([np.atleast_1d(drawn.values[key]), drawn.drawn[key]])
        for key in keys
    }


def run_rows(
    folder: Path, options: dict[str, str], local: bool
) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, str]]:
    """Figures of every row of a run, and the choice of the calibrators."""
    with np.load(folder / 'maps.npz') as file:
        maps = {key: torch.from_numpy(file[key]) for key in file if 'names' not in key}
    method = folder.parent.name
    logits, labels = (
        {part: maps[f'{part}_{kind}'] for part in PARTS if f'{part}_{kind}' in maps}
        for kind in ('logits', 'labels')
    )
    rows, chosen = {'': logits}, {}
    tables = CalibrationTables()
    for key, (image, label) in enumerate(zip(logits['val'], labels['val'])):
        tables.update(image, label, key, logits=True)
    for name, how in CALIBRATORS.items():
        if method not in ('bce', 'shipped') and name not in FEW:
            continue
        calibrate = fit_tables(tables, *how)
        rows[name] = {part: calibrate.logits(z) for part, z in logits.items()}
        chosen[name] = f'{calibrate.method}, {calibrate.by}'
    if local and method == 'bce':
        rows.update(local_rows(logits, labels, options))
    kept, figures = logits['test'] > 0, {}
    for name, part in rows.items():
        row = f'{method} + {name}' if name else method
        probs = {key: torch.sigmoid(z) for key, z in part.items() if key != 'val'}
        figures[row] = row_figures(probs, kept, labels)
    return figures, chosen


def kept_rows(
    folder: Path, options: dict[str, str], local: bool
) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, str]]:
    """What :func:`run_rows` gives, measured once and kept beside the maps."""
    file = folder / ('rows_local.npz' if local else 'rows.npz')
    if not file.is_file():
        rows, chosen = run_rows(folder, options, local)
        arrays = {
            f'{row}|{key}': values
            for row, found in rows.items()
            for key, values in found.items()
        }
        part = folder / 'rows.part.npz'
        np.savez_compressed(part, chosen=json.dumps(chosen), **arrays)
        part.replace(file)
    rows = defaultdict(dict)
    with np.load(file) as arrays:
        chosen = json.loads(str(arrays['chosen']))
        for name in arrays.files:
            if name != 'chosen':
                row, key = name.split('|')
                rows[row][key] = arrays[name]
    return dict(rows), chosen


def local_rows(
    logits: dict[str, Tensor], labels: dict[str, Tensor], options: dict[str, str]
) -> dict[str, dict[str, Tensor]]:
    """Logits by local temperatures, without and with the distance as an input."""
    data, size = Path(options['data']), logits['val'].shape[-1]
    held = ('test', 'val') if options['swap'] == 'True' else ('val', 'test')
    folders = dict(zip(('val', 'test'), (data / part for part in held)))
    if 'ood' in logits:
        folders['ood'] = Path(options['ood']) / 'test'
    rows = {}
    for name, banded in (('LTS', False), ('LTS with the distance', True)):
        inputs = {}
        for part, folder in folders.items():
            images, z = normalise(load(folder, size)['images']), logits[part][:, None]
            inputs[part] = z, with_bands(images, z) if banded else images
        module = fit_pixels(*inputs['val'], labels['val'][:, None])
        with torch.no_grad():
            rows[name] = {
                part: (z / module(z, images))[:, 0]
                for part, (z, images) in inputs.items()
            }
    return rows


def pooled(
    runs: dict[tuple[str, str, int], dict[str, dict[str, np.ndarray]]],
    reference: str,
) -> dict[str, dict[str, Any]]:
    """Means over sets of the means over seeds, and ratios to the reference.

    Returns:
        dict: Of each row ``mean``, ``ratio``, each set by its name, ``ratio, SET``:
        of each figure the value and the two ends of its interval; and ``runs``, their
        number. A row of other runs than the reference's has no ratio.
    """
    by_row: dict[str, dict[str, dict[int, dict]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for (data, _, seed), rows in runs.items():
        for row, found in rows.items():
            by_row[row][data][seed] = found
    table: dict[str, dict[str, Any]] = {}
    for row, sets in by_row.items():
        means = {data: _mean([*seeds.values()]) for data, seeds in sets.items()}
        parts = {'mean': _mean([*means.values()]), **means}
        # To the reference on the same sets and seeds.
        other = {
            data: [by_row[reference][data].get(seed) for seed in seeds]
            for data, seeds in sets.items()
        }
        if all(None not in found for found in other.values()):
            ratios = {
                f'ratio, {data}': _over(means[data], _mean(found))
                for data, found in other.items()
            }
            parts |= {'ratio': _mean([*ratios.values()]), **ratios}
        table[row] = {
            part: {key: _with_interval(value) for key, value in found.items()}
            for part, found in parts.items()
        }
        table[row]['runs'] = sum(map(len, sets.values()))
    return table


def _mean(found: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    keys = set.intersection(*(set(each) for each in found))
    return {
        key: np.mean([each[key] for each in found], 0)
        for key in found[0]
        if key in keys
    }


def _over(first: dict, second: dict) -> dict[str, np.ndarray]:
    keys = first.keys() & second.keys()
    return {key: first[key] / np.maximum(second[key], 1e-12) for key in keys}


def _with_interval(values: np.ndarray) -> list[float]:
    return [round(float(v), 5) for v in (values[0], *percentiles(values[1:]))]


def markdown(table: dict[str, Any], part: str) -> str:
    """A table of one part of the results, with intervals."""
    keys = [
        key
        for key in TITLES
        if any(key in rows.get(part, {}) for rows in table.values())
    ]
    lines = ['| row | runs | ' + ' | '.join(TITLES[key] for key in keys) + ' |']
    lines.append('|---' * (len(keys) + 2) + '|')
    digits = 2 if part == 'ratio' else 4
    for row, parts in table.items():
        cells = (
            [_cell(parts[part].get(key), digits) for key in keys]
            if part in parts
            else []
        )
        lines.append(f'| {row} | {parts["runs"]} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def _cell(value: list[float] | None, digits: int) -> str:
    if value is None:
        return ''
    middle, low, high = (f'{v:.{digits}f}'.removeprefix('0') for v in value)
    return f'{middle} [{low}, {high}]'


def worse(table: dict[str, Any]) -> list[str]:
    """Rows of calibrators that the reference beats on a set, by the interval."""
    return [
        f'{row}, {part.removeprefix("ratio, ")}: {key} {_cell(found[key], 2)}'
        for row, parts in table.items()
        for part, found in parts.items()
        for key in ('ece_band', 'ece_em', 'ece', 'nll')
        if '+' in row and part.startswith('ratio, ') and found[key][1] > 1
    ]


def without_rest(value: Any) -> Any:
    """What the repository keeps: four digits, and no metric that no page shows."""
    if isinstance(value, float):
        return float(f'{value:.4g}')
    if isinstance(value, list | tuple):
        return [without_rest(each) for each in value]
    if isinstance(value, dict):
        return {
            key: without_rest(each)
            for key, each in value.items()
            if key not in REST and not key.startswith('ratio, ')
        }
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('runs', type=Path)
    parser.add_argument('--regime', required=True)
    parser.add_argument('--sets', nargs='+', default=['*'])
    parser.add_argument(
        '--reference', default='bce + temperature', help='of the ratios'
    )
    parser.add_argument('--local', action='store_true', help='local temperatures too')
    parser.add_argument('--json', type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    runs, records = {}, []
    for pattern in args.sets:
        for file in sorted((args.runs / args.regime).glob(f'{pattern}/*/*/run.json')):
            folder = file.parent
            data, method, seed = folder.parts[-3:]
            record = json.loads(file.read_text())
            rows, chosen = kept_rows(folder, record['options'], args.local)
            runs[data, method, int(seed.removeprefix('seed'))] = rows
            history = record.pop('history')
            if history and 'levels' in history[-1]:
                record['levels'] = history[-1]['levels']
            figures = {
                row: {key: round(float(value[0]), 5) for key, value in found.items()}
                for row, found in rows.items()
            }
            records.append(dict(record, chosen=chosen, rows=figures))
            print(folder, flush=True)
    table = pooled(runs, args.reference)
    small = without_rest(dict(table=table, runs=records))
    args.json.write_text(json.dumps(small, separators=(',', ':')) + '\n')
    for part in ('mean', 'ratio'):
        print(f'\n{part}\n\n{markdown(table, part)}')
    print(f'\nworse than {args.reference}', *worse(table), sep='\n')


if __name__ == '__main__':
    main()
