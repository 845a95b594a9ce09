r"""How often a comparison calls equal networks different, and sees a sharper one.

    python benchmarks/equal_networks.py FOLDER... --json \
        benchmarks/results/equal_networks.json

A FOLDER holds `{val,test}/{maps,masks}` of a network. Networks that are equal but for
the noise of their trainings are made from its maps: each gets its own scale, shift and
smooth noise of the logits of every image. A pair is two of them, on a random sample of
the images. Counted is how often any metric is called different, all metrics together:
at most 5 in 100 may be. The other cases are other images of the same network, patients
of equal slices with their groups told and not told, and a network whose logits are
times 2.5, which must be seen.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import Pair, of_folder
from scipy.ndimage import gaussian_filter
from scipy.special import expit, logit

from mmaslp.evaluation.comparison import Comparison, Measured, compare
from mmaslp.evaluation.evaluator import Evaluator
from mmaslp.evaluation.result import Result

SIZES = (2, 3, 5, 10, 30, 100)
SHARPER = 2.5  # times the logits
PATIENTS, SLICES = 12, 10
Draw = Callable[[np.random.Generator], Comparison]


def noisy(prob: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The map of another training of the same network."""
    scores = logit(prob.astype(np.float64).clip(1e-7, 1 - 1e-7))
    field = gaussian_filter(rng.normal(size=scores.shape), 6)
    field *= 0.3 / field.std()
    scale = np.exp(rng.normal(0, 0.15))
    return expit(scale * scores + rng.normal(0, 0.3) + field)


def sharper(prob: np.ndarray) -> np.ndarray:
    return expit(SHARPER * logit(prob.astype(np.float64).clip(1e-7, 1 - 1e-7)))


def measured(name: str, pairs: list[Pair], change: Callable) -> Result:
    evaluator = Evaluator()
    for number, (prob, label) in enumerate(pairs):
        evaluator.add(f'{number:04d}', change(prob), label)
    return evaluator.result(name, 'set', resamples=0)


def networks_of(pairs: list[Pair], number: int) -> list[Result]:
    """Equal networks, on all images."""
    networks = []
    for seed in range(number):
        change = partial(noisy, rng=np.random.default_rng(seed))
        networks.append(measured(f'network {seed}', pairs, change))
    return networks


def sample(
    result: Result,
    rows: np.ndarray,
    resamples: int,
    groups: np.ndarray | None = None,
    prefix: str = '',
) -> Measured:
    """Some images of a result, which may be in it more than once."""
    names = [f'{prefix}{place:04d}' for place in range(len(rows))]
    images = replace(result.images.take(rows), names=names)
    if groups is not None:
        images = images.grouped(groups)
    return Measured(replace(result, images=images), resamples)


def same_images(
    rng: np.random.Generator, networks: list[Result], number: int, resamples: int
) -> Comparison:
    """Two equal networks on the same images."""
    one, other = rng.choice(len(networks), 2, replace=False)
    rows = rng.choice(len(networks[0].images), number, replace=False)
    first = sample(networks[one], rows, resamples)
    return compare(first, sample(networks[other], rows, resamples))


def other_images(
    rng: np.random.Generator, networks: list[Result], number: int, resamples: int
) -> Comparison:
    """Two equal networks, each on its images."""
    one, other = rng.choice(len(networks), 2, replace=False)
    rows = rng.choice(len(networks[0].images), 2 * number, replace=False)
    first = sample(networks[one], rows[:number], resamples)
    second = sample(networks[other], rows[number:], resamples, prefix='new')
    return compare(first, second)


def sharper_network(
    rng: np.random.Generator,
    first: Result,
    second: Result,
    number: int,
    resamples: int,
) -> Comparison:
    """A network and a sharper one on the same images."""
    rows = rng.choice(len(first.images), number, replace=False)
    return compare(sample(first, rows, resamples), sample(second, rows, resamples))


def patients(
    rng: np.random.Generator, networks: list[Result], told: bool, resamples: int
) -> Comparison:
    """Two equal networks on patients of equal slices."""
    one, other = rng.choice(len(networks), 2, replace=False)
    images = rng.choice(len(networks[0].images), PATIENTS, replace=False)
    rows = np.repeat(images, SLICES)
    groups = None
    if told:
        groups = np.repeat(np.arange(PATIENTS), SLICES)
    first = sample(networks[one], rows, resamples, groups)
    return compare(first, sample(networks[other], rows, resamples, groups))


def share(draw: Draw, draws: int) -> dict[str, float]:
    """Of the comparisons, the share with any metric that differs; and with too few."""
    called, few = 0, 0
    for seed in range(draws):
        comparison = draw(np.random.default_rng(seed))
        called += any(change.differs for change in comparison.metrics.values())
        few += comparison.needed > 0
    return {'called different': called / draws, 'too few to tell': few / draws}


@dataclass(frozen=True)
class Options:
    """What all cases of a run have in common."""

    draws: int
    networks: int
    resamples: int
    sizes: Sequence[int]


def cases_of(pairs: list[Pair], options: Options) -> dict[str, Draw]:
    """What is compared, by name, from the maps of one network."""
    networks = networks_of(pairs, options.networks)
    base = measured('base', pairs, np.asarray)
    sharp = measured('sharper', pairs, sharper)

    shared = dict(networks=networks, resamples=options.resamples)
    cases: dict[str, Draw] = {}
    for number in options.sizes:
        cases[f'same {number} images'] = partial(same_images, number=number, **shared)
        cases[f'other {number} images'] = partial(other_images, number=number, **shared)
    cases['12 patients of 10 equal slices'] = partial(patients, told=True, **shared)
    cases['the same, by images'] = partial(patients, told=False, **shared)
    cases['sharper, 30 images'] = partial(
        sharper_network,
        first=base,
        second=sharp,
        number=30,
        resamples=options.resamples,
    )
    return cases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folders', type=Path, nargs='+', metavar='FOLDER')
    parser.add_argument('--draws', type=int, default=200)
    parser.add_argument('--networks', type=int, default=20)
    parser.add_argument('--resamples', type=int, default=1000)
    parser.add_argument('--sizes', type=int, nargs='+', default=SIZES)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()

    options = Options(args.draws, args.networks, args.resamples, args.sizes)
    content: dict[str, Any] = {
        'draws': options.draws,
        'networks': options.networks,
        'resamples': options.resamples,
        'shares': {},
    }
    for folder in args.folders:
        sets = of_folder(folder)
        shares: dict[str, dict[str, float]] = {}
        content['shares'][folder.name] = shares
        for case, draw in cases_of([*sets['val'], *sets['test']], options).items():
            shares[case] = share(draw, options.draws)
            print(folder.name, case, shares[case], flush=True)

            # After each case, so that a run that is cut off leaves what it has.
            if args.json:
                args.json.write_text(json.dumps(content, indent=1) + '\n')


if __name__ == '__main__':
    main()
