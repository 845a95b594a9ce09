"""Time what objects and images add to a fit, and a review against `mmaslp apply`.

    python benchmarks/review_cost.py VAL_MAPS VAL_MASKS TEST_MAPS

Whole jobs in one process and one thread: maps are read from disk each time. Prints the
least of five runs of each, and the two ratios.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from mmaslp.calibration import CalibrationTables, Calibrator, fit_tables
from mmaslp.files.calibrated_maps import apply_calibrator
from mmaslp.files.map_pairs import pair_files, read_pair
from mmaslp.files.prob_maps import MapReader
from mmaslp.files.review import review_maps

RUNS = 5


def fit(maps: str, masks: str, with_contents: bool) -> Calibrator:
    """Fit a calibrator, with objects and images or without."""
    tables = CalibrationTables(with_contents)
    pairs, _ = pair_files(maps, masks)
    for key, paths in enumerate(pairs.values()):
        tables.update(*read_pair(MapReader(), *paths), key)
    return fit_tables(tables)


def least(job: Callable[[], object]) -> float:
    """Seconds of the fastest of some runs."""
    found = []
    for _ in range(RUNS):
        start = time.perf_counter()
        job()
        found.append(time.perf_counter() - start)
    return min(found)


def main() -> None:
    """Time all four, print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ('val_maps', 'val_masks', 'test_maps'):
        parser.add_argument(name)
    args = parser.parse_args()
    torch.set_num_threads(1)
    pairs = args.val_maps, args.val_masks
    plain = least(lambda: fit(*pairs, with_contents=False))
    whole = least(lambda: fit(*pairs, with_contents=True))
    print(f'fit {plain:.2f} s, with objects {whole:.2f} s: {whole / plain:.2f}x')

    calibrator = fit(*pairs, with_contents=True)

    def apply() -> None:
        with tempfile.TemporaryDirectory() as folder:
            apply_calibrator(calibrator, args.test_maps, Path(folder) / 'out')

    applied = least(apply)
    reviewed = least(lambda: review_maps(calibrator, args.test_maps))
    ratio = reviewed / applied
    print(f'apply {applied:.2f} s, review {reviewed:.2f} s: {ratio:.2f}x')


if __name__ == '__main__':
    main()
