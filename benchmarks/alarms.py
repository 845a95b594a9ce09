"""How often a check of products raises a false alarm, and whether it sees drift.

    python benchmarks/alarms.py MAPS MASKS --json benchmarks/results/alarms.json

The maps are divided at random into a base and a new set, so often as asked for. The
same network on other images must not raise an alarm; with its logits times 1.6, on
other images and on the same ones, it must. Measured is `compare --fail-if-worse`;
elsewhere.py measures `drift`.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from mmaslp.evaluation.alarms import worse_metrics
from mmaslp.evaluation.comparison import Measured, compare
from mmaslp.evaluation.result import Result
from mmaslp.files.prob_maps import MapReader
from mmaslp.workflows.measure import evaluate_maps

FACTOR = 1.6  # of the logits


def sharpened(maps: Path, out: Path) -> None:
    """Write the maps with their logits times FACTOR."""
    reader = MapReader()
    for path in sorted(maps.iterdir()):
        prob = reader.read(path).astype(np.float64).clip(1e-7, 1 - 1e-7)
        odds = (prob / (1 - prob)) ** FACTOR
        np.save(out / f'{path.stem}.npy', odds / (1 + odds))


def part_of(result: Result, rows: np.ndarray, resamples: int) -> Measured:
    return Measured(replace(result, images=result.images.take(rows)), resamples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('maps', type=Path)
    parser.add_argument('masks', type=Path)
    parser.add_argument('--draws', type=int, default=100)
    parser.add_argument('--resamples', type=int, default=1000)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        hot = Path(folder) / 'hot'
        hot.mkdir()
        sharpened(args.maps, hot)
        places = {'base': args.maps, 'hot': hot}
        results = {}
        for name, place in places.items():
            result = evaluate_maps(place, args.masks, resamples=0)
            results[name] = replace(result, images=Measured(result).images)

    number = results['base'].num_images
    alarms = dict.fromkeys(('same network, new images', 'hot, new', 'hot, same'), 0)
    for draw in range(args.draws):
        order = np.random.default_rng(draw).permutation(number)
        first, second = order[: number // 2], order[number // 2 :]
        cases = {
            'same network, new images': ('base', second),
            'hot, new': ('hot', second),
            'hot, same': ('hot', first),
        }
        base = part_of(results['base'], first, args.resamples)
        for case, (name, rows) in cases.items():
            new = part_of(results[name], rows, args.resamples)
            worse = worse_metrics(compare(base, new))
            alarms[case] += bool(worse)
    found = dict(
        maps=args.maps.name,
        images=number,
        draws=args.draws,
        factor=FACTOR,
        alarms={'compare': alarms},
    )
    print(json.dumps(found, indent=1))
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + '\n')


if __name__ == '__main__':
    main()
