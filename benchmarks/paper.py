"""Compare the rules of the paper with BCE, raw and with the default calibrator.

    python benchmarks/paper.py RUNS --regime pretrained --json paper.json

``RUNS/<regime>/<set>/<training>/seed<k>`` are folders of train.py that were given
``--ood``, ``--other`` and ``--shift``. Calibrators are fitted to the validation images.
Each training is compared with BCE of the same seeds, raw with raw and calibrated with
calibrated; intervals of 95 % are over images and, from two seeds on, over trainings.
``--against bce band`` compares with levels by band too.
"""

import argparse
import json
import platform
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtrit

from mmaslp import fit_calibrator
from mmaslp.evaluation.evaluator import Evaluator
from mmaslp.metrics.bootstrap import (
    TAIL,
    Difference,
    Resamples,
    percentiles,
    resample,
)
from mmaslp.metrics.errors import roc_auc
from mmaslp.metrics.image_table import ImageTable

RESAMPLES = 500
# What is measured of each part of a run, and what the part is called.
PARTS = {
    'test': (
        *('ece', 'ece_band', 'nll', 'brier', 'acc', 'dice'),
        *('ece_object', 'auroc_object', 'aurc', 'dice_error'),
    ),
    'ood': ('nll',),
    'other': ('nll',),
    'shift': ('nll', 'ece'),
}
NAMES = {'ood': 'textures', 'other': 'other domain', 'shift': 'corruptions'}


def mean_iou(images: ImageTable) -> float:
    """Mean of the IoU of foreground and of background, pooled over images."""
    correct = int(images.table.correct.sum())
    wrong = int(images.num_pixels.sum()) - correct
    sizes = int(images.masks.foreground.sum() + images.masks.predicted.sum())
    inside = (sizes - wrong) // 2
    parts = (inside, correct - inside)
    return float(np.mean([part / max(part + wrong, 1) for part in parts]))


def measure(folder: Path) -> dict[str, dict[str, Any]]:
    """Resampled metrics of a run, raw and calibrated, by part."""
    with np.load(folder / 'maps.npz') as file:
        maps = dict(file)
    calibrator = fit_calibrator(maps['val_logits'], maps['val_labels'], logits=True)
    rows: dict[str, dict[str, Any]] = {'raw': {}, 'calibrated': {}}

    for part, keys in PARTS.items():
        evaluator = Evaluator()
        prob = 1 / (1 + np.exp(-maps[f'{part}_logits'].astype(np.float64)))
        for name, image, label in zip(
            maps[f'{part}_names'], prob, maps[f'{part}_labels']
        ):
            scores = calibrator.scores(image, label)
            evaluator.add(str(name), image, label, calibrator(image), scores)
        for row, images in (
            ('raw', evaluator.raw),
            ('calibrated', evaluator.calibrated),
        ):
            table = ImageTable.join(images.rows)
            drawn = resample(table, RESAMPLES)
            rows[row][part] = Resamples(
                {key: drawn.values[key] for key in keys if key in drawn.values},
                {key: drawn.drawn[key] for key in keys if key in drawn.values},
                drawn.units,
            )
            if part == 'test':
                rows[row]['miou'] = mean_iou(table)
                scores_of_pixels = images.histogram.pixels().score_table()
                rows[row]['auroc_pixel'] = roc_auc(scores_of_pixels)
    return rows


def differences(
    firsts: Sequence[Resamples], seconds: Sequence[Resamples]
) -> dict[str, Difference]:
    """Compare trainings of two models, second minus first, metric by metric.

    All have as many resamples, of the same images where they are to be paired. With T
    trainings of each the variance is that over images plus that over trainings,
    divided by T, and the interval is Student's with the degrees of freedom of Welch and
    Satterthwaite (`1946 <https://doi.org/10.2307/3002019>`_).
    """
    comparison = {}
    every = [*firsts, *seconds]
    keys = [key for key in firsts[0].values if all(key in r.values for r in every)]

    for key in keys:
        one, two = (
            np.array([float(of_one.values[key]) for of_one in side])
            for side in (firsts, seconds)
        )
        drawn_one, drawn_two = (
            np.mean([of_one.drawn[key] for of_one in side], 0)
            for side in (firsts, seconds)
        )
        drawn = drawn_two - drawn_one
        if min(of_one.units for of_one in every) < 2:
            drawn = np.full_like(drawn, np.nan)

        change = two.mean() - one.mean()
        low, high, error = _interval(two - one, drawn)
        comparison[key] = Difference(
            float(one.mean()),
            float(two.mean()),
            float(change),
            low,
            high,
            bool(low > 0 or high < 0),
            unbiased=float(2 * change - drawn.mean()),
            error=error,
        )
    return comparison


def _interval(changes: np.ndarray, drawn: np.ndarray) -> tuple[float, float, float]:
    """95 % bounds and the standard error of the mean of changes."""
    images = drawn.var()
    trainings = len(changes)
    if trainings == 1:
        low, high = percentiles(drawn)
        return float(low), float(high), float(np.sqrt(images))
    chance = changes.var(ddof=1) / trainings
    error = np.sqrt(images + chance)
    # A variance of 0 has as many degrees of freedom as one likes.
    freedom = (trainings - 1) * (error**2 / chance) ** 2 if chance else np.inf
    width = -stdtrit(freedom, TAIL) * error
    return float(changes.mean() - width), float(changes.mean() + width), float(error)


def compare(seeds: list[dict[str, Any]], plain: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds, and their differences to BCE with intervals."""
    values: dict[str, Any] = {'seeds': len(seeds)}
    for key in ('miou', 'auroc_pixel'):
        mean, base = (np.mean([seed[key] for seed in side]) for side in (seeds, plain))
        values[key] = [round(float(mean), 5), round(float(mean - base), 5)]

    for part in PARTS:
        changes = differences([p[part] for p in plain], [s[part] for s in seeds])
        for key, change in changes.items():
            numbers = (change.second, change.difference, change.low, change.high)
            name = key if part == 'test' else f'{key} {NAMES[part]}'
            values[name] = [round(float(number), 5) for number in numbers]
    return values


def compare_rows(
    seeds: dict[str, Any], plain: dict[str, Any], row: str
) -> dict[str, Any]:
    """Compare the seeds that two trainings share; nothing if they share none."""
    shared = sorted(seeds.keys() & plain.keys())
    if not shared:
        return {}
    return compare(
        [seeds[seed][row] for seed in shared], [plain[seed][row] for seed in shared]
    )


def main() -> None:
    """Measure every run, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('runs', type=Path)
    parser.add_argument('--regime', default='pretrained')
    parser.add_argument(
        '--against', nargs='+', default=['bce'], help='what trainings are compared with'
    )
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    runs: dict[str, dict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
    for record in sorted((args.runs / args.regime).glob('*/*/seed*/run.json')):
        name, training, seed = record.parts[-4:-1]
        runs[name][training][seed] = measure(record.parent)

    table: dict[str, Any] = {}
    for name, trainings in runs.items():
        for base in args.against:
            suffix = '' if base == 'bce' else f' | against {base}'
            for training, seeds in trainings.items():
                for row in ('raw', 'calibrated'):
                    values = compare_rows(seeds, trainings.get(base, {}), row)
                    table[f'{name} | {training} | {row}{suffix}'] = values

    for key, values in table.items():
        show(key, values)

    head = {
        'machine': platform.processor() or platform.machine(),
        'date': time.strftime('%Y-%m-%d'),
        'regime': args.regime,
        'columns': 'mean of seeds, difference to BCE or as named, 95 % interval',
    }
    if args.json:
        args.json.write_text(json.dumps({**head, 'table': table}, indent=0) + '\n')


def show(key: str, values: dict[str, Any]) -> None:
    """Print a row."""
    cells = [
        f'{name} {numbers[0]:.4f} ({numbers[1]:+.4f})'
        for name, numbers in values.items()
        if isinstance(numbers, list)
    ]
    print(f'{key} | {values.get("seeds", 0)} seeds | ' + ' | '.join(cells))


if __name__ == '__main__':
    main()
