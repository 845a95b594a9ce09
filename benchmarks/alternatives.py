r"""Other libraries side by side with mmaslp, on one set of maps.

    pip install torchmetrics monai netcal fiducio mapie
    python benchmarks/alternatives.py --data DATA/mediapipe_selfie_on_ccp_person \
        --json benchmarks/results/alternatives.json

``DATA`` holds ``{val,test}/{maps,masks}``. `metrics` measures the ECE of the test maps
with each library, `calibrators` fits to the validation maps with each, and measures all
with our evaluator, and `thresholds` has MAPIE's promise. Each row runs in a process of
its own, on one thread: seconds are of its processor, after imports and reading; MB are
its peak beyond that.
"""

import argparse
import datetime
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mmaslp import CalibrationHistogram, Evaluator, fit_calibrator

LIBRARIES = ('torchmetrics', 'monai', 'netcal', 'fiducio', 'MAPIE', 'cleanlab')
SHOWN = ('ece', 'ece_band', 'nll', 'brier', 'acc')
Maps = list[np.ndarray]


def read(folder: Path) -> tuple[Maps, Maps]:
    """Probabilities and labels of the images of a folder."""
    probs, labels = [], []
    for path in sorted((folder / 'maps').glob('*.png')):
        probs.append(np.asarray(Image.open(path), np.float32) / 65535)
        mask = Image.open(folder / 'masks' / path.name).convert('L')
        labels.append((np.asarray(mask) > 127).astype(np.uint8))
    return probs, labels


def joined(maps: Maps) -> np.ndarray:
    """All pixels of all maps, as libraries take them that know no images."""
    return np.concatenate([values.ravel() for values in maps])


def odds(prob: np.ndarray) -> np.ndarray:
    """The logit of each probability."""
    safe = prob.clip(1e-7, 1 - 1e-7).astype(np.float64)
    return np.log(safe / (1 - safe))


def two_logits(prob: np.ndarray) -> torch.Tensor:
    """``(N, 2)`` logits of background and foreground."""
    logit = torch.from_numpy(odds(prob)).float()
    return torch.stack([torch.zeros_like(logit), logit], 1)


# The ECE of the test maps


def ece_of_mmaslp(probs: Maps, labels: Maps) -> float:
    """That of the foreground, as the other libraries have it."""
    histogram = CalibrationHistogram()
    for prob, label in zip(probs, labels):
        histogram.update(torch.from_numpy(prob), torch.from_numpy(label))
    return histogram.compute(mode='positive')['ece']


def ece_of_torchmetrics(probs: Maps, labels: Maps) -> float:
    from torchmetrics.classification import BinaryCalibrationError

    metric = BinaryCalibrationError(n_bins=10, norm='l1')
    for prob, label in zip(probs, labels):
        metric.update(torch.from_numpy(prob), torch.from_numpy(label))
    return float(metric.compute())


def ece_of_monai(probs: Maps, labels: Maps) -> float:
    from monai.metrics import CalibrationErrorMetric

    metric = CalibrationErrorMetric(num_bins=10, calibration_reduction='expected')
    for prob, label in zip(probs, labels):
        pair = (torch.from_numpy(values)[None, None] for values in (prob, label))
        metric(*pair)
    return float(metric.aggregate())


def ece_of_netcal(probs: Maps, labels: Maps) -> float:
    from netcal.metrics import ECE

    return float(ECE(bins=10).measure(joined(probs), joined(labels)))


# Calibrators, from validation maps to a function of a map

Corrector = Callable[[np.ndarray], np.ndarray]


def as_shipped(probs: Maps, labels: Maps) -> Corrector:
    return lambda prob: prob


def of_mmaslp(probs: Maps, labels: Maps) -> Corrector:
    return fit_calibrator(probs, labels)


def of_one_temperature(probs: Maps, labels: Maps) -> Corrector:
    return fit_calibrator(probs, labels, method='temperature', by='single')


def of_mmaslp_probability(probs: Maps, labels: Maps) -> Corrector:
    return fit_calibrator(probs, labels, target='probability')


def of_netcal(name: str) -> Callable[[Maps, Maps], Corrector]:
    """A calibrator of netcal, by its name."""

    def fit(probs: Maps, labels: Maps) -> Corrector:
        import netcal.binning
        import netcal.scaling

        home = netcal.scaling if hasattr(netcal.scaling, name) else netcal.binning
        method = getattr(home, name)()
        # Given float32, netcal 1.4 fits nothing: its steps are below the rounding.
        method.fit(joined(probs).astype(np.float64), joined(labels))

        def correct(prob: np.ndarray) -> np.ndarray:
            flat = prob.ravel().astype(np.float64)
            return method.transform(flat).reshape(prob.shape)

        return correct

    return fit


def of_fiducio(name: str) -> Callable[[Maps, Maps], Corrector]:
    """A calibrator of Fiducio, by its name, with its own settings."""

    def fit(probs: Maps, labels: Maps) -> Corrector:
        import fiducio

        method = getattr(fiducio, name)(input_type='logits')
        truth = torch.from_numpy(joined(labels)).long()
        method.fit(two_logits(joined(probs)), truth)

        def correct(prob: np.ndarray) -> np.ndarray:
            calibrated = method.transform(two_logits(prob.ravel()))[:, 1]
            return calibrated.detach().numpy().reshape(prob.shape)

        return correct

    return fit


def measure(correct: Corrector, probs: Maps, labels: Maps) -> dict[str, float]:
    """Metrics of corrected maps, and the share of pixels that change side."""
    evaluator = Evaluator()
    moved = pixels = 0
    for number, (prob, label) in enumerate(zip(probs, labels)):
        found = np.asarray(correct(prob), np.float32).clip(0, 1)
        moved += int(((found > 0.5) != (prob > 0.5)).sum())
        pixels += prob.size
        evaluator.add(str(number), found, label)
    metrics = evaluator.result('', '', resamples=0).metrics
    return {**{key: metrics[key] for key in SHOWN}, 'moved': moved / pixels}


# Thresholds with a promise

THRESHOLDS = 1 / (1 + np.exp(-np.linspace(-12, 6, 600)))
MISSED = 0.1


def of_mapie(probs: Maps, labels: Maps) -> float:
    """The threshold at which a tenth of the foreground is missed at most."""
    from mapie.risk_control import SemanticSegmentationController

    controller = SemanticSegmentationController(
        predict_function=lambda maps: maps,
        risk='recall',
        target_level=1 - MISSED,
        predict_params=THRESHOLDS,
    )
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        for prob, label in zip(probs, labels):
            controller.compute_risks(prob[None, None], label[None, None])
        controller.compute_best_predict_param()
    return float(controller.best_predict_param[0])


METRICS = {
    'mmaslp': ece_of_mmaslp,
    'torchmetrics': ece_of_torchmetrics,
    'monai': ece_of_monai,
    'netcal': ece_of_netcal,
}
CALIBRATORS = {
    'as shipped': as_shipped,
    'netcal TemperatureScaling': of_netcal('TemperatureScaling'),
    'netcal BetaCalibration': of_netcal('BetaCalibration'),
    'netcal IsotonicRegression': of_netcal('IsotonicRegression'),
    'netcal HistogramBinning': of_netcal('HistogramBinning'),
    'fiducio TemperatureScaling': of_fiducio('TemperatureScaling'),
    'fiducio OrderPreservingMatrixScaling': of_fiducio('OrderPreservingMatrixScaling'),
    'mmaslp fit --method temperature --by single': of_one_temperature,
    'mmaslp fit': of_mmaslp,
    'mmaslp fit --target probability': of_mmaslp_probability,
}


def timed(function: Callable, *args: Any) -> tuple[Any, dict[str, float]]:
    """What a function returns, its processor time and its memory."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    found = function(*args)
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    megabytes = (after.ru_maxrss - before.ru_maxrss) / 1024
    return found, {'seconds': round(seconds, 3), 'megabytes': round(megabytes)}


def row_of(table: str, name: str, data: Path) -> dict[str, float]:
    """One row, in this process."""
    torch.set_num_threads(1)
    val, test = (read(data / part) for part in ('val', 'test'))
    # A few images come first, so that no import is in the time of a row.
    few = [maps[:6] for maps in val]
    if table == 'metrics':
        METRICS[name](*few)
        ece, cost = timed(METRICS[name], *test)
        return {'ece': ece, **cost}

    if table == 'thresholds':
        of_mapie(*few)
        threshold, cost = timed(of_mapie, *val)
        missed = [
            (prob <= threshold)[label == 1].mean()
            for prob, label in zip(*test)
            if label.any()
        ]
        return {'threshold': threshold, 'missed': float(np.mean(missed)), **cost}

    CALIBRATORS[name](*few)
    correct, cost = timed(CALIBRATORS[name], *val)
    return {**measure(correct, *test), **cost}


def in_process(table: str, name: str, data: Path) -> dict[str, float]:
    """One row, in a process of its own."""
    command = [sys.executable, __file__, '--data', str(data), '--row', table, name]
    started = time.time()
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
    )
    if done.returncode:
        raise SystemExit(f'{name}: {done.stderr}')

    print(f'{table}, {name}: {time.time() - started:.0f} s', file=sys.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--json', type=Path)
    parser.add_argument('--row', nargs=2, metavar=('TABLE', 'NAME'))
    args = parser.parse_args()
    if args.row:
        print(json.dumps(row_of(*args.row, args.data)))
        return

    tables = {'metrics': METRICS, 'calibrators': CALIBRATORS, 'thresholds': ['MAPIE']}
    result = {
        'date': datetime.date.today().isoformat(),
        'maps': args.data.name,
        'versions': {name: version(name) for name in LIBRARIES},
    }
    for table, names in tables.items():
        result[table] = {name: in_process(table, name, args.data) for name in names}
    text = json.dumps(result, indent=1) + '\n'
    print(text)
    if args.json:
        args.json.write_text(text)


if __name__ == '__main__':
    main()
