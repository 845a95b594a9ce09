"""How many images does a calibrator need, and when should it be taken?

    python benchmarks/few_images.py RUNS --json benchmarks/results/few_images.json

Of each finished run of train.py and published.py, seed 0, calibrators are fitted to n
of the first hundred *validation* images and measured on the rest of them, for ten draws
of each n, and on the test images, whose columns end with ``_test``: they choose
nothing. Rows are means over the draws, then over runs; those of ``all`` are means over
all draws, with ``log_nll``, the mean logarithm of the NLL over that of no calibrator.
``worse`` is the share of draws whose NLL is more than 1 % above that of no calibrator.

`fit` is the rule of ``fit_calibrator``, which leaves a network as it is unless a gain
exceeds some standard errors, and draws the map of few images towards none; others name
the images that are drawn half-way, and the probability of Student's t of those errors.
`any` tests nothing.
"""

import argparse
import json
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mmaslp.calibration import CalibrationTables
from mmaslp.calibration.curves import CENTRES, evaluate
from mmaslp.calibration.fitting.fit import IDENTITY, choose
from mmaslp.calibration.fitting.methods import (
    HALFWAY_IMAGES,
    METRICS,
    SURE,
    Candidate,
    OutOfFold,
    candidates,
    fit_curves,
    gains,
    measure_groups,
    out_of_fold,
    simplest,
)

NUMBERS, DRAWS, MOST, MOST_TEST = (10, 20, 40), 10, 100, 200
# Groups of networks, by regime and method.
NETWORKS = {
    'over-fitted': ('few/*/bce',),
    'published': ('published/*/shipped',),
    'others': (
        *('few/*/band', 'few/*/image_band', 'all/*/*'),
        *('pretrained/*/bce', 'pretrained/*/image_band'),
    ),
}
# An NLL of more than so many times that of no calibrator is worse.
WORSE = 1.01
Measured = dict[Candidate, OutOfFold]
Row = dict[str, float]


@dataclass(frozen=True)
class Rule:
    """How a calibrator is chosen.

    Attributes:
        halfway (float): Images whose map is drawn half-way towards none.
        sure (float | None): Probability of the t that a gain must exceed; None: that of
            ``fit_calibrator``; 0: nothing is tested.
    """

    halfway: float = HALFWAY_IMAGES
    sure: float | None = None

    def choose(self, measured: Measured) -> Candidate:
        """Pick one of the candidates."""
        if self.sure is None:
            return choose(measured, 'auto', '')[0]
        if self.sure == 0:
            return simplest(measured)

        better = {}
        for candidate, metrics in measured.items():
            if gains(metrics, measured[IDENTITY], self.sure):
                better[candidate] = metrics
        if not better:
            return IDENTITY
        return simplest(better)


RULES = {
    'fit': Rule(),
    'any': Rule(sure=0),
    **{
        f'{halfway} half-way, t({sure:g})': Rule(halfway, sure)
        for halfway, sure in (
            *((halfway, SURE) for halfway in (12, 14, 15, 16, 17, 18)),
            *((12, 0.9), (12, 0.95)),
        )
    },
}


def counts_of(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts of each image with a label."""
    found = []
    for image, label in zip(logits, labels):
        tables = CalibrationTables()
        tables.update(torch.from_numpy(image), label, 0, logits=True)
        if tables.images[0]:
            found.append(tables.counts[0].numpy())
    return np.stack(found)


def draws(folder: Path) -> dict[str, list[Row]]:
    """The figures of each number and rule, of all draws of one run."""
    with np.load(folder / 'maps.npz') as maps:
        val = counts_of(maps['val_logits'][:MOST], maps['val_labels'][:MOST])
        test = None
        if 'test_logits' in maps.files:
            logits = maps['test_logits'][:MOST_TEST]
            test = counts_of(logits, maps['test_labels'][:MOST_TEST])

    figures = defaultdict(list)
    for number in NUMBERS:
        if number + 20 > len(val):
            continue
        for draw in range(DRAWS):
            order = np.random.default_rng([number, draw]).permutation(len(val))
            fitted = val[np.sort(order[:number])]
            if not fitted.sum((0, 1, 2)).all():
                continue  # fit_calibrator refuses it
            measured_on = {'': val[order[number:]]}
            if test is not None:
                measured_on['_test'] = test
            for name, row in figures_of_draw(fitted, measured_on).items():
                figures[f'{number} | {name}'].append(row)
    return figures


def figures_of_draw(
    fitted: np.ndarray, measured_on: dict[str, np.ndarray]
) -> dict[str, Row]:
    """By rule the metrics elsewhere, whether it left the network, and did harm."""
    none = row_of(fitted, measured_on, IDENTITY, HALFWAY_IMAGES)
    rows = {'none': none}
    measured: dict[float, Measured] = {}
    known: dict[tuple[Candidate, float], Row] = {}
    for name, rule in RULES.items():
        if rule.halfway not in measured:
            measured[rule.halfway] = out_of_folds(fitted, rule.halfway)
        kind = rule.choose(measured[rule.halfway])
        place = (kind, rule.halfway)
        if place not in known:
            known[place] = row_of(fitted, measured_on, kind, rule.halfway)
        rows[name] = dict(known[place])
    for row in rows.values():
        for part in measured_on:
            ratio = row[f'nll{part}'] / none[f'nll{part}']
            row[f'worse{part}'] = float(ratio > WORSE)
            row[f'log_nll{part}'] = math.log(ratio)
    return rows


def out_of_folds(fitted: np.ndarray, halfway: float) -> Measured:
    """Measure all candidates."""
    images = np.ones(len(fitted), int)
    measured = {}
    for kind in candidates():
        measured[kind] = out_of_fold(
            fitted, images, kind.method, kind.by, 'confidence', halfway
        )
    return measured


def row_of(
    fitted: np.ndarray,
    measured_on: dict[str, np.ndarray],
    kind: Candidate,
    halfway: float,
) -> Row:
    """Metrics of one map on each part."""
    maps = fit_curves(
        fitted.sum(0), len(fitted), kind.method, kind.by, 'confidence', halfway
    )
    row = {'unchanged': float(kind.method == 'identity')}
    for part, counts in measured_on.items():
        logit = evaluate(maps, CENTRES, 'confidence')
        logit = np.broadcast_to(logit, counts.shape[:-1])
        metrics = measure_groups(counts, logit).metrics.tolist()
        row |= zip([f'{name}{part}' for name in METRICS], metrics)
    return row


def mean_of(rows: list[Row]) -> Row:
    """Means of what all rows have."""
    keys = [key for key in rows[0] if all(key in row for row in rows)]
    return {key: float(np.mean([row[key] for row in rows])) for key in keys}


def rounded(row: Row) -> Row:
    return {key: round(value, 5) for key, value in row.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('runs', type=Path)
    parser.add_argument('--json', type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    means: dict[str, dict[str, Row]] = {}
    of_rule: dict[str, list[Row]] = defaultdict(list)
    for group, patterns in NETWORKS.items():
        rows = defaultdict(list)
        for pattern in patterns:
            for folder in sorted(args.runs.glob(f'{pattern}/seed0')):
                print(folder, flush=True)
                for row, figures in draws(folder).items():
                    rows[row].append(mean_of(figures))
                    of_rule[row.partition(' | ')[2]] += figures
        means[group] = {
            row: rounded(mean_of(of_networks)) | dict(networks=len(of_networks))
            for row, of_networks in rows.items()
        }
    means['all'] = {
        name: rounded(mean_of(figures)) | dict(draws=len(figures))
        for name, figures in of_rule.items()
    }
    args.json.write_text(json.dumps(means) + '\n')
    for group, rows in means.items():
        print(f'\n{group}\n')
        for row, values in rows.items():
            shown = ', '.join(f'{key} {value:.4f}' for key, value in values.items())
            print(f'{row}: {shown}')


if __name__ == '__main__':
    main()
