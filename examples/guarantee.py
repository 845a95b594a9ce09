"""A threshold with a guarantee: at most a tenth of the foreground is missed.

MAPIE finds the threshold (conformal risk control), on calibrated maps. Three parts of a
set do three things: a calibrator is fitted to the first, the threshold is chosen on the
second, and the promise is measured on the third.

    pip install ".[guarantee]"
    python examples/guarantee.py MAPS MASKS

What is promised: in the mean over images like those of the second part, the share of
the foreground that is missed is at most the stated one. Nothing is promised for a
single image, for images of another kind, or about what is found beside the foreground.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
from mapie.risk_control import SemanticSegmentationController

from mmaslp import fit_calibrator
from mmaslp.files.map_pairs import pair_files, read_pair
from mmaslp.files.prob_maps import MapReader
from mmaslp.report.tables import format_table

# MAPIE's own grid, 0 to 0.99 by 0.01, is too coarse where most pixels lie near 0.
THRESHOLDS = 1 / (1 + np.exp(-np.linspace(-12, 6, 600)))


def read(maps, masks):
    """Maps and masks of the images that have foreground, in three parts."""
    pairs, _ = pair_files(maps, masks)
    found = [read_pair(MapReader(), *paths) for paths in pairs.values()]
    found = [(prob, label) for prob, label in found if (label == 1).any()]
    if len(found) < 30:
        raise SystemExit(f'{len(found)} images with foreground are too few: give 30')
    order = np.random.default_rng(0).permutation(len(found))
    return [[found[k] for k in part] for part in np.array_split(order, 3)]


def threshold_of(maps, masks, missed):
    """The threshold at which at most a share ``missed`` is missed in the mean."""
    controller = SemanticSegmentationController(
        predict_function=lambda maps: maps,
        risk='recall',
        target_level=1 - missed,
        predict_params=THRESHOLDS,
    )
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        for prob, label in zip(maps, masks):  # image by image, to bound the memory
            controller.compute_risks(prob[None, None], label[None, None])
        controller.compute_best_predict_param()
    return float(controller.best_predict_param[0])


def measure(maps, masks, threshold):
    """Mean share of the foreground that is missed, and of the image that is taken."""
    missed = [
        (prob <= threshold)[label == 1].mean() for prob, label in zip(maps, masks)
    ]
    taken = [(prob > threshold).mean() for prob in maps]
    return {'missed': float(np.mean(missed)), 'taken': float(np.mean(taken))}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('maps', type=Path)
    parser.add_argument('masks', type=Path)
    parser.add_argument('--missed', type=float, default=0.1)
    args = parser.parse_args()
    first, second, third = read(args.maps, args.masks)

    calibrator = fit_calibrator(*zip(*first))
    rows = {}
    for name, corrected in (('as shipped', np.asarray), ('calibrated', calibrator)):
        maps, masks = zip(*[(corrected(prob), label == 1) for prob, label in second])
        threshold = threshold_of(maps, masks, args.missed)
        maps, masks = zip(*[(corrected(prob), label) for prob, label in third])
        rows[name] = {'threshold': threshold, **measure(maps, masks, threshold)}
    print(f'promised: at most {args.missed:.3f} of the foreground is missed\n')
    print(format_table(rows, ['threshold', 'missed', 'taken']))


if __name__ == '__main__':
    main()
