"""Measure, fit and review on several processes or machines, by Dask.

    pip install ".[cluster]"
    python examples/many_machines.py VAL_MAPS VAL_MASKS TEST_MAPS --out out
    python examples/many_machines.py ... --scheduler tcp://head:8786

Without a scheduler two processes of this machine work. Every machine must see the
folders under the same names. The files are those of one process, byte by byte.
"""

import argparse
from pathlib import Path

import joblib
from dask.distributed import Client, LocalCluster

from mmaslp.calibration.fitting.fit import fit_tables
from mmaslp.evaluation.result import save_result
from mmaslp.files.map_pairs import MapFiles
from mmaslp.files.reviews import write_review
from mmaslp.workflows.fit import count_tables
from mmaslp.workflows.measure import evaluate_maps
from mmaslp.workflows.review import review_maps


def work(val_maps: str, val_masks: str, test_maps: str, out: Path) -> None:
    """Write result, calibrator and review; ``workers=None`` asks joblib's backend."""
    out.mkdir(parents=True, exist_ok=True)
    result = evaluate_maps(val_maps, val_masks, workers=None)
    save_result(out / 'result.json', result)
    calibrator = fit_tables(
        count_tables(MapFiles.of(val_maps, val_masks), workers=None)
    )
    calibrator.save(out / 'calibrator.json')
    rows = review_maps(calibrator, test_maps, workers=None)
    write_review(out / 'review.csv', rows)
    print(f'{result.num_images} maps measured, {len(rows)} reviewed: {out}')


def main() -> None:
    """Connect to a cluster, or start one here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('val_maps')
    parser.add_argument('val_masks')
    parser.add_argument('test_maps')
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--scheduler', help='address of a scheduler of Dask')
    args = parser.parse_args()
    if args.scheduler:
        client = Client(args.scheduler)
    else:
        cluster = LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        )
        client = Client(cluster)
    with client, joblib.parallel_config('dask'):
        work(args.val_maps, args.val_masks, args.test_maps, args.out)


if __name__ == '__main__':
    main()
