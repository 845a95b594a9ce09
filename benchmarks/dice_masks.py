r"""Dice of the masks of a calibrator, against p > 1/2 and against RankSEG without one.

    python benchmarks/dice_masks.py --maps NAME=FOLDER ... --runs NAME=maps.npz ... \\
        --halves NAME=MAPS,MASKS ... --videos NAME=MAPS,MASKS ... \\
        --out benchmarks/results/dice_masks.json

``FOLDER`` holds ``{val,test}/{maps,masks}``; ``maps.npz`` is of train.py, and seeds of
a set are named ``SET/SEED``: the table has the means of their images. A set without a
division is halved: every other image is fitted to, or every other video
(``blackswan_00010`` is of ``blackswan``). A calibrator is fitted to val and its masks
are measured on test. Two empty masks have a Dice of 1.

RankSEG (Dai and Li, JMLR 2023, https://pypi.org/project/rankseg) has its defaults but
for ``multilabel``, which binary maps need: solver RMA, and no object where no p is
above 1/2. 'BA' is its solver of JMLR. Intervals of 95 % are over test images, or over
videos, and paired. A loss is an image whose Dice falls by more than .01.
"""

import argparse
import json
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import rankseg
import torch
from common import Pair, of_folder, of_run, weights_of

from mmaslp.calibration import Calibrator, dice_optimal_mask, fit_calibrator
from mmaslp.files.map_pairs import pair_files, read_pair
from mmaslp.files.prob_maps import MapReader

RESAMPLES = 2000
LOSS = 0.01
OURS = 'calibrator, Dice'
AGAINST = (
    'half',
    'RankSEG',
    'RankSEG, BA',
    'shipped, Dice',
    'calibrator, accuracy',
    'calibrator, RankSEG',
)


@dataclass(frozen=True)
class Division:
    """What is fitted to and what is measured; ``groups`` has one of each test image."""

    val: list[Pair]
    test: list[Pair]
    groups: list[str]


@dataclass(frozen=True)
class Measured:
    """``(N,)`` Dice of the test images by way of cutting, and their groups."""

    dice: dict[str, np.ndarray]
    groups: list[str]


def divided(parts: dict[str, list[Pair]]) -> Division:
    """A set that has val and test; each image is a group."""
    groups = [str(number) for number in range(len(parts['test']))]
    return Division(parts['val'], parts['test'], groups)


def halved(folders: str, videos: bool) -> Division:
    """Every other image, or video, is of val."""
    maps, masks = folders.split(',')
    pairs, _ = pair_files(Path(maps), Path(masks))
    group_of_name = {name: Path(name).stem for name in pairs}
    if videos:
        for name, stem in group_of_name.items():
            group_of_name[name] = stem.rpartition('_')[0]

    in_val = sorted(set(group_of_name.values()))[::2]
    division = Division([], [], [])
    for name, paths in sorted(pairs.items()):
        pair = read_pair(MapReader(), *paths)
        group = group_of_name[name]
        if group in in_val:
            division.val.append(pair)
        else:
            division.test.append(pair)
            division.groups.append(group)
    return division


def rank_mask(prob: np.ndarray, solver: str) -> np.ndarray:
    """The mask of RankSEG of one image."""
    batch = torch.from_numpy(np.ascontiguousarray(prob, np.float64))[None, None]
    cut = rankseg.RankSEG(metric='dice', output_mode='multilabel', solver=solver)
    return cut.predict(batch)[0, 0].numpy()


def masks_of(calibrator: Calibrator, prob: np.ndarray) -> dict[str, np.ndarray]:
    """The mask of one image by each way."""
    calibrated = np.asarray(calibrator.mask_calibrator(prob))
    return {
        'half': prob > 0.5,
        'RankSEG': rank_mask(prob, 'RMA'),
        'RankSEG, BA': rank_mask(prob, 'BA'),
        'shipped, Dice': dice_optimal_mask(prob),
        'calibrator, accuracy': calibrator.masks(prob, 'accuracy'),
        'calibrator, RankSEG': rank_mask(calibrated, 'RMA'),
        OURS: calibrator.masks(prob, 'dice'),
    }


def dice_of(mask: np.ndarray, label: np.ndarray) -> float:
    """Dice of the pixels that count; 1 of two empty masks."""
    mask = mask & (label != 255)
    foreground = label == 1
    both = mask.sum() + foreground.sum()
    if not both:
        return 1.0
    return float(2 * (mask & foreground).sum() / both)


def measured(division: Division) -> Measured:
    """Fit to val, cut the maps of test."""
    calibrator = fit_calibrator(*zip(*division.val))
    dice: dict[str, list[float]] = {way: [] for way in (*AGAINST, OURS)}
    for prob, label in division.test:
        for way, mask in masks_of(calibrator, prob).items():
            dice[way].append(dice_of(mask, label))

    columns = {way: np.array(values) for way, values in dice.items()}
    return Measured(columns, division.groups)


def mean_of_seeds(seeds: Sequence[Measured]) -> Measured:
    """The mean Dice of each image over networks that saw the same test images."""
    dice = {}
    for way in (*AGAINST, OURS):
        dice[way] = np.mean([seed.dice[way] for seed in seeds], 0)
    return Measured(dice, seeds[0].groups)


def with_interval(values: np.ndarray, groups: Sequence[str]) -> list[float]:
    """The mean, and its 95 % interval over resampled groups."""
    names, group_of_image = np.unique(groups, return_inverse=True)
    weights = weights_of(len(names), RESAMPLES)[:, group_of_image]
    means = weights @ values / weights.sum(1)
    low, high = np.quantile(means[1:], [0.025, 0.975])
    return [round(float(value), 5) for value in (means[0], low, high)]


def summary_of(seeds: Sequence[Measured]) -> dict[str, Any]:
    """Means of all ways, and what ours gains from each of the others."""
    images = mean_of_seeds(seeds)
    means = {
        way: with_interval(dice, images.groups) for way, dice in images.dice.items()
    }
    gains = {}
    losses = {}
    for way in AGAINST:
        gains[way] = with_interval(images.dice[OURS] - images.dice[way], images.groups)
        falls = [seed.dice[OURS] - seed.dice[way] < -LOSS for seed in seeds]
        losses[way] = round(float(np.mean(falls)), 4)
    return {
        'networks': len(seeds),
        'images': len(images.groups),
        'groups': len(set(images.groups)),
        'dice': means,
        'gain': gains,
        'losses': losses,
    }


def divisions(args: argparse.Namespace) -> Iterable[tuple[str, Division]]:
    """All sets that are asked for, by name."""
    for named in args.maps:
        name, _, path = named.partition('=')
        yield name, divided(of_folder(Path(path)))

    for named in args.runs:
        name, _, path = named.partition('=')
        yield name, divided(of_run(Path(path)))

    for named in args.halves:
        name, _, folders = named.partition('=')
        yield name, halved(folders, videos=False)

    for named in args.videos:
        name, _, folders = named.partition('=')
        yield name, halved(folders, videos=True)


def print_table(sets: dict[str, Any]) -> None:
    """Mean Dice of all ways, then gains and losses."""
    ways = (*AGAINST, OURS)
    print('| network | ' + ' | '.join(ways) + ' |')
    print('|---|' + '---|' * len(ways))
    for name, row in sets.items():
        cells = [f'{row["dice"][way][0]:.4f}' for way in ways]
        print(f'| {name} | ' + ' | '.join(cells) + ' |')

    for name, row in sets.items():
        for way in AGAINST:
            mean, low, high = row['gain'][way]
            share = row['losses'][way]
            print(
                f'{name}: {OURS} less {way}: {mean:+.4f} [{low:+.4f}, {high:+.4f}], '
                f'{share:.0%} of the masks lose'
            )


def main() -> None:
    """Measure every set, write the JSON, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option in ('--maps', '--runs', '--halves', '--videos'):
        parser.add_argument(option, nargs='*', default=[], metavar='NAME=PATH')
    parser.add_argument('--out', required=True, type=Path)
    args = parser.parse_args()

    torch.set_num_threads(1)
    seeds_of_set: dict[str, list[Measured]] = {}
    for name, division in divisions(args):
        print(name, flush=True)
        title = name.partition('/')[0]
        seeds_of_set.setdefault(title, []).append(measured(division))

    sets = {title: summary_of(seeds) for title, seeds in seeds_of_set.items()}
    written = {
        'machine': platform.processor() or platform.machine(),
        'date': datetime.now(timezone.utc).strftime('%Y-%m-%d'),
        'rankseg': rankseg.__version__,
        'sets': sets,
    }
    args.out.write_text(json.dumps(written, indent=1) + '\n')
    print_table(sets)


if __name__ == '__main__':
    main()
