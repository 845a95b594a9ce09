r"""What a review says of images unlike those of the fit, and how often it rings.

    python benchmarks/elsewhere.py --maps NAME=FOLDER ... --runs NAME=maps.npz ... \\
        --out benchmarks/results/elsewhere.json

``FOLDER`` holds ``{val,test}/{maps,masks}``, ``maps.npz`` is of train.py. A calibrator
is fitted to val and measured on test, on test maps that are sharper (logits times 1.6),
noisier (normal noise of 1 on each logit) or both, and on what else a run holds. Each
row says whether the alarm rang, the share of images above the bound where one was
given, how many had one, and of how many draws of half of the images it rang. `halves`
is of how many divisions of val and test at random, all unchanged, it rings. ``--brief``
writes a list of the columns that the page cites for each part. With ``--severities``
the network of each run also sees its first hundred test images in each corruption of
ImageNet-C.
"""

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from common import Pair, of_folder, of_run
from corruption import CORRUPTIONS, corrupt_image, corrupt_mask
from networks import new_network
from scipy.special import expit, logit
from train import NETWORKS, load, logits_of

from mmaslp.calibration import Calibrator, fit_calibrator
from mmaslp.calibration.estimates import mask_estimates
from mmaslp.calibration.features import count_image, domain_features, domain_inputs
from mmaslp.calibration.sets import ALARM, permutation_test
from mmaslp.common.maps import LabelledMap, ProbMap
from mmaslp.metrics.image_metrics import aurc

TOP = 10
CORRUPTED_IMAGES = 100
BRIEF = (
    *('auc', 'differs', 'withheld', 'above_bound', 'bounds_given'),
    *('true_dice', 'aurc', 'aurc_soft_dice', 'most_over_expected_of_surest'),
)


def changed(pairs: list[Pair], factor: float, noise: float) -> Iterator[Pair]:
    """Maps with other logits, and their masks."""
    rng = np.random.default_rng(0)
    for prob, label in pairs:
        z = factor * logit(np.clip(prob.astype(np.float64), 1e-5, 1 - 1e-5))
        yield expit(z + noise * rng.normal(size=z.shape)), label


def measure(calibrator: Calibrator, pairs: list[Pair], draws: int) -> dict:
    """Measure a set, and halves of it."""
    estimates = [calibrator.image(prob) for prob, _ in pairs]
    comparison, bounded = calibrator.compare_set(estimates)
    scores = [mask_estimates(LabelledMap.from_arrays(*pair)) for pair in pairs]
    dice = np.array([each.dice[0] for each in scores])
    told = np.array([each.dice for each in estimates])
    low = np.array([each.dice_low for each in bounded])
    order = np.nan_to_num([each.score for each in estimates], nan=-1.0)
    soft = np.nan_to_num([each.expected[0] for each in scores])
    surest = np.argsort(-order, kind='stable')[:TOP]

    rings = 0
    for draw in range(draws):
        half = np.random.default_rng(draw).permutation(len(pairs))[: len(pairs) // 2]
        rings += calibrator.compare_set([estimates[k] for k in half])[0].differs
    given = ~np.isnan(low)
    return {
        **{k: v for k, v in asdict(comparison).items() if k != 'means'},
        'withheld': comparison.withheld,
        'rings': [int(rings), draws],
        'out_of_range': float(np.mean([each.out_of_range for each in estimates])),
        'above_bound': float((dice >= low)[given].mean()) if given.any() else None,
        'bounds_given': float(given.mean()),
        'width': float((told - low)[given].mean()) if given.any() else None,
        'dice_error': float(np.nanmean(np.abs(told - dice))),
        'true_dice': float(dice.mean()),
        'aurc': aurc(order, 1 - dice),
        'aurc_soft_dice': aurc(soft, 1 - dice),
        'most_over_expected_of_surest': float(np.nanmax((told - dice)[surest])),
    }


def halves(pairs: list[Pair], draws: int) -> list[int]:
    """Divide images at random: how often it rings, of how many draws."""
    counts = [count_image(ProbMap.from_array(prob)) for prob, _ in pairs]
    inputs = domain_inputs(np.array([domain_features(image) for image, _ in counts]))
    inputs = (inputs - inputs.mean(0)) / (inputs.std(0) + 1e-9)
    rings = 0
    for draw in range(draws):
        order = np.random.default_rng(draw).permutation(len(pairs))
        is_new = np.isin(np.arange(len(pairs)), order[: len(pairs) // 2])
        _, p_value = permutation_test(inputs, is_new)
        rings += bool(p_value <= ALARM)
    return [rings, draws]


def corrupted_sets(
    run: Path, severities: list[int]
) -> Iterator[tuple[str, list[Pair]]]:
    """The network of a run of train.py on corrupted test images, set by set."""
    options = json.loads((run / 'run.json').read_text('utf-8'))['options']
    kind = options['network']
    network = new_network(kind)
    network.load_state_dict(torch.load(run / 'network.pth', weights_only=True))
    test = load(Path(options['data']) / 'test', NETWORKS[kind][0], CORRUPTED_IMAGES)
    pixels = test['images'].permute(0, 2, 3, 1).contiguous().numpy()
    masks = test['labels'].numpy()

    for severity, name in itertools.product(severities, CORRUPTIONS):
        images = []
        labels = []
        for image, mask, stem in zip(pixels, masks, test['names']):
            images.append(corrupt_image(image, stem, name, severity))
            labels.append(corrupt_mask(mask, stem, name, severity))
        inputs = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        probs = expit(np.squeeze(logits_of(network, inputs).numpy()).astype(np.float64))
        yield f'{name}_{severity}', list(zip(probs, labels))


def brief(row: dict) -> list:
    """The values of ``BRIEF``, with four digits."""
    values = [row[key] for key in BRIEF]
    return [round(each, 4) if isinstance(each, float) else each for each in values]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--maps', nargs='*', default=[], metavar='NAME=FOLDER')
    parser.add_argument('--runs', nargs='*', default=[], metavar='NAME=FILE')
    parser.add_argument('--draws', type=int, default=20)
    parser.add_argument('--halves', type=int, default=0, metavar='DRAWS')
    parser.add_argument('--severities', type=int, nargs='*', default=[])
    parser.add_argument('--brief', action='store_true')
    parser.add_argument('--out', required=True, type=Path)
    args = parser.parse_args()
    found: dict[str, dict] = {}

    def keep(name: str, part: str, row: dict) -> None:
        found[name][part] = brief(row) if args.brief else row
        print(name, part, json.dumps(row), flush=True)
        content = {'date': time.strftime('%Y-%m-%d'), 'sets': found}
        if args.brief:
            content['columns'] = BRIEF
        short = dict(separators=(',', ':')) if args.brief else dict(indent=1)
        args.out.write_text(json.dumps(content, **short) + '\n')

    for given, read in ((args.maps, of_folder), (args.runs, of_run)):
        for each in given:
            name, _, path = each.partition('=')
            parts = read(Path(path))
            val, test = parts.pop('val'), parts['test']
            calibrator = fit_calibrator(*zip(*val))
            parts['sharper'] = [*changed(test, 1.6, 0.0)]
            parts['noisier'] = [*changed(test, 1.0, 1.0)]
            parts['both'] = [*changed(test, 1.6, 0.5)]
            found[name] = {}
            if args.halves:
                found[name]['halves'] = halves([*val, *test], args.halves)
            for part, pairs in parts.items():
                keep(name, part, measure(calibrator, pairs, args.draws))
            if args.severities and read is of_run:
                run = Path(path).parent
                for part, pairs in corrupted_sets(run, args.severities):
                    keep(name, part, measure(calibrator, pairs, args.draws))


if __name__ == '__main__':
    main()
