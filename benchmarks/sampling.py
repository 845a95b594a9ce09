#!/usr/bin/env python
"""How much error by band a perfect fit to validation images leaves on test images.

Validation and test images are samples. A shift of the confidences that takes the gap of
every band of distance to 0 on the one leaves, to first order, the difference of their
gaps on the other. The script gives that of the images as they are split, and the mean
and the 95 % interval over random splits of the same sizes. It is the expected error of
that one estimator, and the sampling error of the test images is in it: a scale for
differences, no lower bound.

    python benchmarks/sampling.py work_dirs/plain_few/*/bce/*/eval \
        --json benchmarks/results/sampling.json

Each folder holds ``val`` and ``test``, the results of one model, as calibration.py
leaves them; the file keeps what it has of others. ``benchmarks/pages.py`` makes the
table.
"""

import argparse
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jobs import VALIDATION, positive
from records import read_json, write_rows

from mmaslp.commands.errors import exit_on_user_error
from mmaslp.core.measure import BORDERS, BinTable, ImageBands
from mmaslp.core.measure.binned_metrics import binned_metrics, signed_gap
from mmaslp.files.results import load_result

FILE = 'calibration_test.json'
TEST = 'test'
# As calibration.py names the folder of a run, and what tells rows of the file apart.
_FOLDER = re.compile(
    r'(?P<table>[^/]+)/(?P<data>[^/]+)/(?P<method>[^/]+)/seed(?P<seed>\d+)_[^/]+/[^/]+$'
)
_PLACE = ('table', 'data', 'method', 'seed')


def error_by_band(tested: BinTable, fitted: BinTable | None = None) -> np.ndarray:
    r"""Error by band, as it is or after a perfect fit to other images.

    It is :math:`\sum_b w_b |g_b - g'_b|`, where :math:`w_b` and :math:`g_b` are share
    and gap (confidence - accuracy) of band b, and :math:`g'_b` is its gap on the images
    of the fit; 0 without a fit, and where these have no pixel.

    Args:
        tested (BinTable): ``(..., B)`` sums of the bands.
        fitted (BinTable, optional): ``(..., B)``, of the images of the fit.

    Returns:
        np.ndarray: ``(...)`` in [0, 1], with a fit in [0, 2].
    """
    if fitted is not None:
        shift = np.nan_to_num(signed_gap(fitted))
        tested = replace(tested, conf=tested.conf - tested.count * shift)
    return binned_metrics(tested)['ece']


def measure(
    val: ImageBands, test: ImageBands, splits: int, seed: int
) -> dict[str, Any]:
    """Measure one model.

    Args:
        val (ImageBands): Sums of the validation images.
        test (ImageBands): Sums of the test images.
        splits (int): Number of random splits of all these images.
        seed (int): Of the splits.

    Returns:
        dict: ``error`` by band of the test images; ``left``, what a perfect fit to
        the validation images leaves of it; ``mean`` and 95 % ``interval`` of that in
        random splits.
    """
    images = ImageBands(val.edges, np.concatenate([val.sums, test.sums]))
    order = np.tile(np.arange(len(images.sums)), (splits, 1))
    rank = np.random.default_rng(seed).permuted(order, axis=1)
    fitted = (rank < len(val.sums)).astype(np.float64)
    found = error_by_band(_bands(images, 1 - fitted), _bands(images, fitted))
    return dict(
        error=float(error_by_band(_bands(test))),
        left=float(error_by_band(_bands(test), _bands(val))),
        mean=float(found.mean()),
        interval=np.percentile(found, [2.5, 97.5]).tolist(),
    )


def _bands(images: ImageBands, weights: np.ndarray | None = None) -> BinTable:
    """Bands of the predicted border."""
    table = images.pooled(weights)
    border = BORDERS.index('predicted')
    return BinTable(
        *(sums[..., border, :] for sums in (table.count, table.correct, table.conf))
    )


def read_run(folder: Path, splits: int, seed: int) -> dict[str, Any]:
    """Measure the model of a folder ``TABLE/data/method/seedN_digest/eval``.

    Raises:
        ValueError: If the folder has another name, does not hold both results, or they
            lack the bands.
    """
    bands = []
    for name in (VALIDATION, TEST):
        _, images = load_result(folder / name / FILE)
        if images.bands is None:
            raise ValueError(f'{folder / name / FILE} has no bands: test again')
        bands.append(images.bands)
    place = _FOLDER.search(folder.resolve().as_posix())
    if place is None:
        raise ValueError(f'{folder} is no TABLE/data/method/seedN_digest/eval')
    return dict(
        place.groupdict(),
        images=[len(each.sums) for each in bands],
        **measure(*bands, splits, seed),
    )


@exit_on_user_error
def main() -> None:
    """Measure all, and write what the file did not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folders', nargs='+', type=Path)
    parser.add_argument('--splits', type=positive, default=1000)
    parser.add_argument('--seed', type=int, default=0, help='of the splits')
    parser.add_argument('--json', type=Path, required=True, help='read and added to')
    args = parser.parse_args()
    rows = read_json(args.json) if args.json.exists() else []
    found = {tuple(row[key] for key in _PLACE): row for row in rows}
    for folder in args.folders:
        row = read_run(folder, args.splits, args.seed)
        found[tuple(row[key] for key in _PLACE)] = row
        print(f'{folder}: {row["error"]:.4f}, a fit leaves {row["mean"]:.4f}')
    write_rows(args.json, [found[place] for place in sorted(found)])


if __name__ == '__main__':
    main()
