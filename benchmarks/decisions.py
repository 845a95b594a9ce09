r"""Compare what is told of objects and images with what people use today.

    python benchmarks/decisions.py --maps NAME=FOLDER ... --runs NAME=maps.npz ... \\
        --out benchmarks/results/decisions.json

``FOLDER`` holds ``{val,test}/{maps,masks}``; ``maps.npz`` is of train.py, and seeds
of a set are named ``SET/SEED``: the table has their means. A calibrator
is fitted to val and measured on test. Rivals: of objects the mean probability, as
shipped and calibrated; of images the median of val, the Soft Dice Confidence as shipped
and calibrated, and MOVAL; of the order of images the mean confidence, the Soft Dice
Confidence as shipped, MOVAL, the mean p of the mask, and the entropy of all pixels by
the area of the mask. Intervals of 95 % are over images, of differences they are paired.

MOVAL (Li et al., https://arxiv.org/abs/2207.09957) scales the logits of a class until
the Dice that their probabilities expect is the true one on val. It estimates the Dice
of a whole set; here it is asked about each image.
"""

import argparse
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from common import Pair, of_folder, of_run
from scipy.optimize import brentq

from mmaslp.calibration import Calibrator, fit_calibrator
from mmaslp.metrics.image_metrics import aurc, object_auroc, object_ece
from mmaslp.metrics.objects import MaskTable

RESAMPLES = 1000
# Figures of which neither side is better.
SIGNED = ('area_bias', 'width')


@dataclass(frozen=True)
class Image:
    """What each way says of a test image, and what is true."""

    dice: float
    told: dict[str, float]  # expected Dice, by way
    order: dict[str, float]  # what orders images, the surest last
    low: float
    shipped_low: float  # bound of the same level from residuals of the shipped Dice
    areas: dict[str, float]  # by way, and 'true', as shares of the image
    objects: dict[str, np.ndarray]  # probability that each is real, by way
    real: np.ndarray


def soft_dice(prob: np.ndarray, mask: np.ndarray) -> float:
    """Soft Dice Confidence of a mask."""
    return float(2 * prob[mask].sum() / (mask.sum() + prob.sum()))


def scaled(prob: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities of logits that are divided by a temperature."""
    inside = np.clip(prob.astype(np.float64), 1e-7, 1 - 1e-7)
    return 1 / (1 + ((1 - inside) / inside) ** (1 / temperature))


def moval_temperature(val: Sequence[Pair], dice: float) -> float:
    """The temperature at which the expected Dice of val is the true one, in the mean.

    The class that decides is the foreground, so one temperature is sought.
    """
    masked = [(prob, prob > 0.5) for prob, _ in val if (prob > 0.5).any()]

    def apart(log_temperature: float) -> float:
        temperature = np.exp(log_temperature)
        told = [soft_dice(scaled(prob, temperature), mask) for prob, mask in masked]
        return float(np.mean(told)) - dice

    ends = (-4.0, 4.0)
    if apart(ends[0]) * apart(ends[1]) > 0:  # no temperature reaches it
        return float(np.exp(min(ends, key=lambda end: abs(apart(end)))))
    return float(np.exp(brentq(apart, *ends, xtol=1e-3)))


def measure(
    calibrator: Calibrator, fixed: 'Fixed', prob: np.ndarray, label: np.ndarray
) -> Image | None:
    """Measure one test image; None if its mask is empty."""
    mask = prob > 0.5
    foreground = np.asarray(label) == 1
    if not mask.any():
        return None
    told, table = calibrator.judge(prob)
    calibrated = np.asarray(calibrator(prob))
    names = [table.labels == label for label in table.label]
    inside = np.clip(prob, 1e-7, 1 - 1e-7)
    entropy = -(inside * np.log(inside) + (1 - inside) * np.log(1 - inside))
    moval = soft_dice(scaled(prob, fixed.temperature), mask)
    return Image(
        dice=2 * (mask & foreground).sum() / (mask.sum() + foreground.sum()),
        told={
            'ours': told.dice,
            'shipped': soft_dice(prob, mask),
            'calibrated': soft_dice(calibrated, mask),
            'median': fixed.median,
            'moval': moval,
        },
        order={
            'ours': told.score,
            'shipped': soft_dice(prob, mask),
            'confidence': float(np.maximum(prob, 1 - prob).mean()),
            'moval': moval,
            'mean p': float(prob[mask].mean()),
            'entropy': -float(entropy.sum() / mask.sum()),
        },
        low=told.dice_low,
        shipped_low=max(0.0, soft_dice(prob, mask) + fixed.residual),
        areas={
            'ours': told.area / mask.size,
            'count': mask.mean(),
            'true': foreground.mean(),
        },
        objects={
            'ours': table.probability,
            'shipped': np.array([prob[own].mean() for own in names]),
            'calibrated': np.array([calibrated[own].mean() for own in names]),
        },
        real=np.array([foreground[own].mean() > 0.5 for own in names], bool),
    )


def object_figures(prob: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """ECE, NLL and AUROC of objects."""
    nothing = np.full(1, np.nan)
    inside = np.clip(prob, 1e-6, 1 - 1e-6)
    table = MaskTable([np.column_stack([prob, real])], nothing, nothing, nothing)
    return {
        'ece_object': float(object_ece(table)),
        'nll_object': float(-np.log(np.where(real, inside, 1 - inside)).mean()),
        'auroc_object': float(object_auroc(table)),
    }


@dataclass(frozen=True)
class Fixed:
    """What rivals take from val."""

    median: float
    temperature: float
    residual: float  # tenth part of true less shipped Dice


def figures(images: Sequence[Image]) -> dict[str, float]:
    """All figures of some images."""
    dice = np.array([image.dice for image in images])
    told = np.array([image.told['ours'] for image in images])
    low = np.array([image.low for image in images])
    true_area = np.array([image.areas['true'] for image in images])
    has_area = ~np.isnan([image.areas['ours'] for image in images])
    shipped_low = np.array([image.shipped_low for image in images])
    shipped = np.array([image.told['shipped'] for image in images])
    found = {
        'covered': (dice >= low).mean(),
        'width ours': (told - low).mean(),
        'width shipped': (shipped - shipped_low).mean(),
    }
    for way in images[0].told:
        expected = np.array([image.told[way] for image in images])
        found[f'dice_error {way}'] = np.abs(expected - dice).mean()
    for way in images[0].order:
        score = np.array([image.order[way] for image in images])
        found[f'aurc {way}'] = aurc(score, 1 - dice)
    for way in ('ours', 'count'):
        error = np.array([image.areas[way] for image in images]) - true_area
        found[f'area_error {way}'] = np.abs(error[has_area]).mean()
        found[f'area_bias {way}'] = error[has_area].mean()
    real = np.concatenate([image.real for image in images]).astype(bool)
    for way in images[0].objects:
        prob = np.concatenate([image.objects[way] for image in images])
        if not np.isnan(prob).any():
            own = object_figures(prob, real)
            found |= {f'{key} {way}': value for key, value in own.items()}
    return {key: float(value) for key, value in found.items()}


def measured(val: Sequence[Pair], test: Sequence[Pair]) -> dict[str, Any] | None:
    """Fit to val, measure on test; None where no image has a mask."""
    calibrator = fit_calibrator(*zip(*val))
    dice = []
    told = []
    for prob, label in val:
        mask = prob > 0.5
        if mask.any():
            both = mask.sum() + (label == 1).sum()
            dice.append(2 * (mask & (label == 1)).sum() / both)
            told.append(soft_dice(prob, mask))
    if len(dice) < 10:
        return None
    fixed = Fixed(
        float(np.median(dice)),
        moval_temperature(val, float(np.mean(dice))),
        float(np.quantile(np.array(dice) - told, 0.1)),
    )
    found = [measure(calibrator, fixed, *pair) for pair in test]
    images = [each for each in found if each is not None]
    rng = np.random.default_rng(0)
    drawn = [
        figures([images[k] for k in rng.integers(len(images), size=len(images))])
        for _ in range(RESAMPLES)
    ]
    values = figures(images)
    return {
        'images': len(images),
        'empty_masks': len(found) - len(images),
        'objects': int(sum(len(image.real) for image in images)),
        'real': float(np.concatenate([image.real for image in images]).mean()),
        'chosen': calibrator.decisions.record,
        'figures': {
            key: [
                value,
                *np.quantile([each.get(key, np.nan) for each in drawn], [0.025, 0.975]),
            ]
            for key, value in values.items()
        },
        'worse': worse(values, drawn),
    }


def worse(values: dict[str, float], drawn: Sequence[dict[str, float]]) -> list[str]:
    """Where ours is worse than a rival by more than the interval."""
    found = []
    for key in values:
        name, _, way = key.partition(' ')
        own = f'{name} ours'
        if way in ('', 'ours') or name in SIGNED or own not in values:
            continue
        sign = -1 if name == 'auroc_object' else 1
        apart = [sign * (each[own] - each[key]) for each in drawn]
        if np.quantile(apart, 0.025) > 0:
            found.append(f'{own} {values[own]:.4f}, {way} {values[key]:.4f}')
    return found


def means(sets: dict[str, Any]) -> dict[str, float]:
    """Ratios of our figures to those of rivals: of the means over all sets."""
    figures = [own['figures'] for own in sets.values()]
    found = {}
    for keys in COLUMNS.values():
        for key in keys[1:]:
            both = [own for own in figures if keys[0] in own and key in own]
            ours, others = (
                np.mean([own[name][0] for own in both]) for name in (keys[0], key)
            )
            found[f'{keys[0]} / {key.partition(" ")[2]}'] = float(ours / others)
    images = [own['images'] for own in sets.values()]
    covered = [own['covered'][0] for own in figures]
    found['covered, of all images'] = float(np.average(covered, weights=images))
    biases = [
        np.mean([abs(own[f'area_bias {way}'][0]) for own in figures])
        for way in ('ours', 'count')
    ]
    found['area_bias ours / count'] = float(biases[0] / biases[1])
    return found


COLUMNS = {
    'ECE of objects': ('ece_object ours', 'ece_object shipped'),
    'NLL of objects': ('nll_object ours', 'nll_object shipped'),
    'AUROC of objects': ('auroc_object ours', 'auroc_object shipped'),
    'error of Dice': (
        'dice_error ours',
        'dice_error shipped',
        'dice_error median',
        'dice_error moval',
    ),
    'above bound': ('covered',),
    'width of bound': ('width ours', 'width shipped'),
    'AURC': ('aurc ours', 'aurc shipped', 'aurc confidence', 'aurc moval'),
    'error of area': ('area_error ours', 'area_error count'),
}


def _mean_of(seeds: Sequence[dict[str, list[float]]], key: str) -> str:
    known = [own[key][0] for own in seeds if key in own]
    return f'{np.mean(known):.3f}' if known else '-'


def main() -> None:
    """Measure every set, write the JSON, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--maps', nargs='*', default=[], metavar='NAME=FOLDER')
    parser.add_argument('--runs', nargs='*', default=[], metavar='NAME=FILE')
    parser.add_argument('--out', required=True, type=Path)
    args = parser.parse_args()
    found: dict[str, Any] = {
        'machine': platform.processor() or platform.machine(),
        'date': datetime.now(timezone.utc).strftime('%Y-%m-%d'),
        'sets': {},
    }
    for given, read in ((args.maps, of_folder), (args.runs, of_run)):
        for each in given:
            name, _, path = each.partition('=')
            parts = read(Path(path))
            own = measured(parts['val'], parts['test'])
            if own is None:
                print(f'{name}: no mask of val holds anything')
                continue
            found['sets'][name] = own
            args.out.write_text(json.dumps(found, indent=1) + '\n')

    print('| |' + '|'.join(COLUMNS) + '|')
    print('|---|' + '---|' * len(COLUMNS))
    for name in dict.fromkeys(name.partition('/')[0] for name in found['sets']):
        seeds = [
            own['figures']
            for other, own in found['sets'].items()
            if other.partition('/')[0] == name
        ]
        cells = [
            ' / '.join(_mean_of(seeds, key) for key in keys)
            for keys in COLUMNS.values()
        ]
        print(f'| {name} |' + '|'.join(cells) + '|')
    found['means'] = means(found['sets'])
    args.out.write_text(json.dumps(found, indent=1) + '\n')
    for name, value in found['means'].items():
        print(f'{name}: {value:.3f}')
    for name, own in found['sets'].items():
        for line in own['worse']:
            print(f'worse: {name}: {line}')


if __name__ == '__main__':
    main()
