"""How many images does a calibrator need, and when should it be taken?

    python benchmarks/few_images.py RUNS --json benchmarks/results/few_images.json

Of each finished run of train.py and published.py, seed 0, calibrators are fitted to n
of the first hundred *validation* images and measured on the rest of them, for ten draws
of each n. No test image is read. It prints means over the draws, then over runs.
`worse` is the share of draws whose NLL is more than 1 % above that of no calibrator.

`fit` is the rule of ``fit_calibrator``, which leaves a network as it is unless a gain
exceeds one standard error. `fit, at 95 %` tests gain and loss at 95 % instead, and
`fit, any` tests nothing.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from mmaslp.calibration import CalibrationTables
from mmaslp.calibration.fitting.fit import choose
from mmaslp.calibration.fitting.methods import (
    HALFWAY_IMAGES,
    METRICS,
    OutOfFold,
    candidates,
    fit_maps,
    measure_groups,
    out_of_fold,
    simplest,
)
from mmaslp.calibration.maps import CENTRES, evaluate

NUMBERS, DRAWS, MOST = (10, 20, 40, 80), 10, 100
COLUMNS = (*METRICS, 'unchanged', 'worse')
# Groups of networks, by regime and method.
NETWORKS = {
    'over-fitted': ('few/*/bce',),
    'published': ('published/*/shipped',),
    'others': ('few/*/border', 'all/*/*', 'pretrained/*/*'),
}


# An NLL of more than so many times that of no calibrator is worse.
WORSE = 1.01
IDENTITY = ('identity', 'single')
Measured = dict[tuple[str, str], OutOfFold]


def at_95(measured: Measured) -> tuple[str, str]:
    """The choice if a test at 95 % has to show a gain, and none a loss."""
    better = {}
    for kind, each in measured.items():
        more, error = (values[:2] for values in each.minus(measured[IDENTITY]))
        if (more < -1.645 * error).any() and not (more > 1.645 * error).any():
            better[kind] = each
    return simplest(better) if better else IDENTITY


RULES = {
    'none': lambda measured: IDENTITY,
    'fit': lambda measured: choose(measured, 'auto', '')[0],
    'fit, at 95 %': at_95,
    'fit, any': simplest,
}


def draws(folder: Path) -> dict[str, list[list[float]]]:
    """The figures of each number and rule, of all draws of one run."""
    tables = CalibrationTables()
    with np.load(folder / 'maps.npz') as maps:
        pairs = zip(maps['val_logits'][:MOST], maps['val_labels'][:MOST])
        for key, (logits, label) in enumerate(pairs):
            tables.update(torch.from_numpy(logits), label, key, logits=True)
    used = tables.images.numpy() > 0
    counts, images = tables.counts.numpy()[used], tables.images.numpy()[used]
    figures = defaultdict(list)
    for number in NUMBERS:
        if number + 20 > len(images):
            continue
        for draw in range(DRAWS):
            order = np.random.default_rng([number, draw]).permutation(len(images))
            fitted = np.sort(order[:number])
            if counts[fitted].sum((0, 1, 2)).all():  # else fit_calibrator refuses it
                rows = figures_of_draw(counts, images, fitted, order[number:])
                for name, row in rows.items():
                    figures[f'{number} | {name}'].append(row)
    return figures


def figures_of_draw(
    counts: np.ndarray, images: np.ndarray, fitted: np.ndarray, rest: np.ndarray
) -> dict[str, list[float]]:
    """By rule the metrics on the rest, whether it left the network, and did harm."""
    measured = {}
    for kind in candidates():
        measured[kind] = out_of_fold(
            counts[fitted], images[fitted], *kind, 'confidence', HALFWAY_IMAGES
        )

    figures = {}
    for name, rule in RULES.items():
        method, by = rule(measured)
        maps = fit_maps(
            counts[fitted].sum(0),
            images[fitted].sum(),
            method,
            by,
            'confidence',
            HALFWAY_IMAGES,
        )
        logit = evaluate(maps, CENTRES, 'confidence')
        logit = np.broadcast_to(logit, counts[rest].shape[:-1])
        metrics = measure_groups(counts[rest], logit).metrics.tolist()
        figures[name] = [*metrics, method == 'identity']

    nll_of_none = figures['none'][0]
    for row in figures.values():
        row.append(row[0] > WORSE * nll_of_none)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('runs', type=Path)
    parser.add_argument('--json', type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    means: dict[str, dict[str, dict[str, float]]] = {}
    for group, patterns in NETWORKS.items():
        rows = defaultdict(list)
        for pattern in patterns:
            for folder in sorted(args.runs.glob(f'{pattern}/seed0')):
                print(folder, flush=True)
                for row, figures in draws(folder).items():
                    rows[row].append(np.mean(figures, 0))
        means[group] = {
            row: dict(zip(COLUMNS, np.mean(of_networks, 0).round(5).tolist()))
            | dict(networks=len(of_networks))
            for row, of_networks in rows.items()
        }
    args.json.write_text(json.dumps(means) + '\n')
    keys = ' | '.join((*COLUMNS, 'networks'))
    for group, rows in means.items():
        print(f'\n{group}\n\n| images | calibrator | {keys} |')
        for row, values in rows.items():
            print(f'| {row} |', ' | '.join(f'{v:.4f}' for v in values.values()), '|')


if __name__ == '__main__':
    main()
