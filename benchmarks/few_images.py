"""How many images does a calibrator need, and when should it be taken?

    python benchmarks/few_images.py RUNS --json benchmarks/results/few_images.json

Of each finished run of train.py and published.py, seed 0, calibrators are fitted to n
of the first hundred *validation* images and measured on the rest of them, for ten draws
of each n. No test image is read. It prints means over the draws, then over runs.

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
from mmaslp.calibration.fit import choose
from mmaslp.calibration.maps import fit_maps
from mmaslp.calibration.selection import (
    CANDIDATES,
    FIGURES,
    Candidate,
    out_of_fold,
    simplest,
    sums_of,
)

NUMBERS, DRAWS, MOST = (10, 20, 40, 80), 10, 100
# Groups of networks, by regime and method.
NETWORKS = {
    'over-fitted': ('few/*/bce',),
    'published': ('published/*/shipped',),
    'others': ('few/*/border', 'all/*/*', 'pretrained/*/*'),
}


def at_95(candidates: list[Candidate]) -> Candidate:
    """The choice if a test at 95 % has to show a gain, and none a loss."""
    better = []
    for each in candidates[1:]:
        more, error = (values[:2] for values in each.minus(candidates[0]))
        if (more < -1.645 * error).any() and not (more > 1.645 * error).any():
            better.append(each)
    return simplest(better or candidates[:1])


RULES = {
    'none': lambda candidates: candidates[0],
    'one temperature': lambda candidates: candidates[1],
    'fit': lambda candidates: choose(candidates, 'auto', np.ones(MOST))[0],
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
    found = defaultdict(list)
    for number in NUMBERS:
        for draw in range(DRAWS if number + 20 <= len(images) else 0):
            order = np.random.default_rng([number, draw]).permutation(len(images))
            own, rest = np.sort(order[:number]), order[number:]
            if not counts[own].sum((0, 1, 2)).all():
                continue  # all of one class, which fit_calibrator refuses
            candidates = [
                out_of_fold(counts[own], images[own], *each, 'confidence')
                for each in CANDIDATES
            ]
            for name, rule in RULES.items():
                kind = rule(candidates)
                how = kind.method, kind.by, 'confidence'
                maps = fit_maps(counts[own].sum(0), images[own].sum(), *how)
                figures = sums_of(counts[rest], maps, how[2]).total.figures
                found[f'{number} | {name}'].append(
                    [*figures.tolist(), kind.method == 'identity']
                )
    return found


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
            row: dict(zip((*FIGURES, 'unchanged'), np.mean(each, 0).round(5).tolist()))
            | dict(networks=len(each))
            for row, each in rows.items()
        }
    args.json.write_text(json.dumps(means) + '\n')
    keys = ' | '.join((*FIGURES, 'unchanged', 'networks'))
    for group, rows in means.items():
        print(f'\n{group}\n\n| images | calibrator | {keys} |')
        for row, values in rows.items():
            print(f'| {row} |', ' | '.join(f'{v:.4f}' for v in values.values()), '|')


if __name__ == '__main__':
    main()
