"""What 40, 20 and 10 patients can tell.

    python benchmarks/patients.py RUNS/SET/bce/seed0/maps.npz ... --json OUT.json

Calibrators are fitted to n validation images, each one a patient of its own, for
a number of draws, and measured on all test images: images, since no public set of
volumes was at hand. ``told`` is the share of draws in which the fit could say it.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from common import of_run

from mmaslp import BandTable, fit_calibrator
from mmaslp.calibration.features import count_image, has_mask, true_dice
from mmaslp.common.maps import LabelledMap

NUMBERS = (10, 20, 40)


def dice_of(prob: np.ndarray, label: np.ndarray) -> float:
    """Dice of the mask p > 1/2."""
    image, _ = count_image(LabelledMap.from_arrays(prob, label, None))
    return true_dice(image)


def row_of(val: list, test: list) -> dict[str, float]:
    """What one fit tells."""
    maps = [prob for prob, _ in val]
    calibrator = fit_calibrator(maps, [label for _, label in val])
    raw, new = BandTable(), BandTable()
    errors = []
    held = []
    widths = []
    for prob, label in test:
        raw.update(prob[None], label[None])
        new.update(calibrator(prob)[None], label[None])
        estimate, _ = calibrator.judge(prob)
        if not has_mask(estimate.features) or np.isnan(estimate.dice):
            continue
        dice = dice_of(prob, label)
        errors.append(abs(estimate.dice - dice))
        if not np.isnan(estimate.dice_low):
            held.append(dice >= estimate.dice_low)
            widths.append(estimate.dice - estimate.dice_low)
    return dict(
        calibrated=float(calibrator.method != 'identity'),
        ece_band_raw=raw.compute()['ece_band'],
        ece_band=new.compute()['ece_band'],
        told_dice=float(bool(errors)),
        dice_error=float(np.mean(errors)) if errors else np.nan,
        told_bound=float(bool(held)),
        held=float(np.mean(held)) if held else np.nan,
        width=float(np.mean(widths)) if widths else np.nan,
        told_objects=float(calibrator.decisions.objects is not None),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('maps', type=Path, nargs='+')
    parser.add_argument('--draws', type=int, default=5)
    parser.add_argument('--json', type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = {}
    for path in args.maps:
        sets = of_run(path)
        name = '/'.join(path.parts[-4:-1])
        rows[name] = {}
        for number in NUMBERS:
            columns = defaultdict(list)
            for draw in range(args.draws):
                rng = np.random.default_rng([number, draw])
                kept = rng.permutation(len(sets['val']))[:number]
                val = [sets['val'][index] for index in kept]
                for key, value in row_of(val, sets['test']).items():
                    columns[key].append(value)
            rows[name][number] = {
                key: round(float(np.nanmean(values)), 4)
                for key, values in columns.items()
                if not np.isnan(values).all()
            }
            print(name, number, rows[name][number], flush=True)
            args.json.write_text(json.dumps(rows, indent=1) + '\n')


if __name__ == '__main__':
    main()
