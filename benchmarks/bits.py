"""Do losses, levels, metrics and calibrators still give the same bits?

    python benchmarks/bits.py --json now.json
    PYTHONPATH=OLDER_CHECKOUT python benchmarks/bits.py --json before.json
    python benchmarks/bits.py --json now.json --against before.json

It hashes losses with their gradients, levels after each step, metrics, tables of bands
and calibrated maps, over sizes, dtypes, options and ignored pixels. `--against` prints
what differs, and ends with status 1. Hashes hold for one machine and one torch.
"""

import argparse
import hashlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

import mmaslp.functional as metrics
from mmaslp import (
    BandLevels,
    BandTable,
    CalibrationHistogram,
    ImageLevels,
    SelfCalibratingBCE,
    dice_optimal_mask,
    fit_calibrator,
)
from mmaslp.levels.rules import make_rule

SHAPES = ((1, 8, 8), (3, 16, 16), (2, 33, 17), (4, 64, 48))
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
LOSSES: dict[str, dict[str, Any]] = {
    'BCE': {},
    'SLP': dict(beta='HI', alpha=0.05),
    'SI': dict(beta='SI', alpha=0.2),
    'M': dict(beta='M', alpha=0.5),
    'DM': dict(beta='DM', alpha=0.5),
    'label smoothing': dict(eps=0.1),
    'expected target': dict(beta=1.5, alpha=0.1, deterministic=True),
    'DisturbLabel': dict(beta='HI', alpha=0.1, per_pixel=True),
}
RULES: tuple[tuple[str, dict[str, Any]], ...] = (
    ('MC', {}),
    ('MC', dict(solver='explicit')),
    ('ME', {}),
    ('ME', dict(landmark='warmup')),
    ('FB', {}),
    ('fixed', {}),
)
IMAGES = [f'image {number}' for number in range(12)]
Case = tuple[str, Callable[[], Any]]


def draw(seed: int, shape: tuple[int, ...], ignored: bool) -> tuple[Tensor, Tensor]:
    """Smooth logits and labels ``(N, H, W)``, of which a tenth may be ignored."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(shape, generator=generator) * 3
    logits = 2 * avg_pool2d(noise[:, None], 3, 1, 1)[:, 0]
    prob = torch.sigmoid(0.6 * logits)
    labels = (torch.rand(shape, generator=generator) < prob).long()
    if ignored:
        labels[torch.rand(shape, generator=generator) < 0.1] = 255
    return logits, labels


def loss_and_gradient(
    criterion: SelfCalibratingBCE, logits: Tensor, labels: Tensor, **options: Any
) -> list[Tensor]:
    """The loss of a batch, and the gradient of its sum."""
    logits = logits.clone().requires_grad_()
    torch.manual_seed(3)
    loss = criterion(logits, labels, **options)
    loss.sum().backward()
    return [loss, logits.grad]


def smoothing() -> BandLevels:
    levels = BandLevels()
    fixed = torch.tensor([0.1, 0.05, 0.02, 0.01, 0.003])
    levels.levels.copy_(fixed.to(levels.levels.dtype))
    return levels


def losses() -> Iterator[Case]:
    """Every loss, reduction and dtype."""
    sizes = [*enumerate(SHAPES)]
    for (seed, shape), ignored, dtype in product(sizes, (False, True), DTYPES):
        logits, labels = draw(seed, shape, ignored)
        logits = logits.to(dtype)
        both = torch.stack([-logits / 2, logits / 2], 1)
        apart = torch.stack([labels, labels], 1)
        weight = torch.linspace(0, 2, shape[-1])
        for reduction in ('mean', 'sum', 'none'):
            made = {
                name: SelfCalibratingBCE(reduction=reduction, **options)
                for name, options in LOSSES.items()
            }
            made['by band'] = SelfCalibratingBCE(smoothing(), reduction=reduction)
            for name, loss in made.items():
                yield (
                    f'loss | {name} | {reduction} | {shape} | {ignored} | {dtype}',
                    lambda loss=loss, z=logits[:, None], y=labels: loss_and_gradient(
                        loss, z, y
                    ),
                )
        more = {
            'two classes': (dict(beta='HI', alpha=0.05), both, labels, {}),
            'channels': (dict(channels='independent', eps=0.1), both, apart, {}),
            'weights': (
                dict(eps=0.1),
                logits[:, None],
                labels,
                dict(pixel_weight=weight),
            ),
        }
        for name, (options, z, y, call) in more.items():
            yield (
                f'loss | {name} | {shape} | {ignored} | {dtype}',
                lambda o=options, z=z, y=y, call=call: loss_and_gradient(
                    SelfCalibratingBCE(**o), z, y, **call
                ),
            )


def levels_by_image(rule: str, beta: float, options: dict[str, Any]) -> list[Any]:
    """Losses and levels of twenty steps."""
    start = 0.1 if rule == 'fixed' else 0.0
    levels = ImageLevels(IMAGES, beta, make_rule(rule, **options), start, 7, 2)
    criterion = SelfCalibratingBCE(levels)
    generator = torch.Generator().manual_seed(1)
    steps: list[Any] = []
    for step in range(20):
        if step % 5 == 0:
            levels.observe(0.9 + 0.002 * step, 0.95)
        order = torch.randperm(len(IMAGES), generator=generator)[:4].tolist()
        sample = levels.sample([IMAGES[row] for row in order], step)
        logits = 2 * torch.randn(4, 1, 9, 9, generator=generator)
        prob = torch.sigmoid(logits[:, 0])
        labels = (torch.rand(4, 9, 9, generator=generator) < prob).long()

        steps.append(criterion(logits, labels, sample))
        levels.update(sample)
        steps.append([*levels.levels.values()])
    return steps


def counted(prob: Tensor, labels: Tensor) -> BandTable:
    table = BandTable()
    table.update(prob, labels, 255)
    return table


def levels_by_band(gain: float) -> list[Tensor]:
    """Levels after each of twelve validations."""
    levels = BandLevels(gain, 1)
    steps = []
    for number in range(12):
        logits, labels = draw(50 + number, (3, 40, 40), number % 2 == 1)
        levels.observe(counted(torch.sigmoid(logits * (2 - 0.1 * number)), labels))
        steps.append(levels.levels.clone())
    return steps


def levels() -> Iterator[Case]:
    """Levels by image of every rule, and by band."""
    for (rule, options), beta in product(RULES, (2.0, 1.5, 1.0)):
        yield (
            f'levels by image | {rule} {options} | {beta}',
            lambda r=rule, b=beta, o=options: levels_by_image(r, b, o),
        )
    for gain in (0.5, 1.0):
        yield f'levels by band | {gain}', lambda gain=gain: levels_by_band(gain)


def measures() -> Iterator[Case]:
    """Every metric of the histogram, the bands, and the functions."""
    functions = (
        metrics.calibration_error,
        metrics.equal_mass_calibration_error,
        metrics.band_calibration_error,
        metrics.brier_score,
    )
    for (seed, shape), ignored in product(enumerate(SHAPES), (False, True)):
        logits, labels = draw(10 + seed, shape, ignored)
        prob = torch.sigmoid(logits)
        place = f'{shape} | {ignored}'
        histogram = CalibrationHistogram()
        histogram.update(prob, labels)
        for mode, bins in product(('top_label', 'positive'), (5, 10, 15)):
            for key, value in histogram.compute(bins, mode).items():
                yield (
                    f'metric | {key} | {mode} | {bins} | {place}',
                    lambda value=value: float(value),
                )
        bands = counted(prob, labels)
        yield f'bands | {place}', lambda bands=bands: [bands.compute(), bands.sums]
        for function in functions:
            yield (
                f'metric | {function.__name__} | {place}',
                lambda f=function, p=prob, y=labels: f(p, y, ignore_index=255),
            )
        yield f'mask | {place}', lambda p=prob: dice_optimal_mask(p.numpy()[0])


def calibrators() -> Iterator[Case]:
    """Maps that every method calibrates; 0.5 called `platt` `affine`."""
    for number in (12, 40):
        pairs = [draw(100 + image, (1, 32, 32), False) for image in range(number)]
        prob = np.stack([torch.sigmoid(1.7 * z[0]).double().numpy() for z, _ in pairs])
        label = np.stack([y[0].numpy() for _, y in pairs])
        for kind in product(
            ('auto', 'temperature', 'platt', 'isotonic'),
            ('single', 'band'),
            ('confidence', 'probability'),
        ):

            def calibrated(
                kind: Any = kind, prob: Any = prob, label: Any = label
            ) -> Any:
                method, by, target = kind
                try:
                    fit = fit_calibrator(prob, label, by, method, target)
                except ValueError:
                    fit = fit_calibrator(prob, label, by, 'affine', target)
                return fit(prob[:3])

            yield f'calibrator | {" | ".join(kind)} | {number}', calibrated


def hash_of(value: Any) -> str:
    """Hash arrays by dtype, shape and bits, and all else by its text."""
    digest = hashlib.sha256()

    def add(part: Any) -> None:
        if isinstance(part, Tensor):
            part = part.detach()
            part = (part.float() if part.dtype == torch.bfloat16 else part).numpy()
        if isinstance(part, np.ndarray):
            digest.update(f'{part.dtype}{part.shape}'.encode() + part.tobytes())
        elif isinstance(part, dict):
            for key in sorted(part):
                add([key, part[key]])
        elif isinstance(part, list | tuple):
            for each in part:
                add(each)
        else:
            digest.update(repr(part).encode())

    add(value)
    return digest.hexdigest()[:16]


def main() -> None:
    """Write the hashes, and print which are others than in a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--json', type=Path, required=True)
    parser.add_argument('--against', type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter('ignore')
    logging.disable(logging.WARNING)
    rooms = (losses, levels, measures, calibrators)
    hashes = {name: hash_of(call()) for room in rooms for name, call in room()}
    args.json.write_text(json.dumps(hashes, indent=0) + '\n')
    print(f'{len(hashes)} hashes')
    if args.against:
        before = json.loads(args.against.read_text())
        names = sorted(hashes.keys() | before.keys())
        others = [name for name in names if hashes.get(name) != before.get(name)]
        print(*others, f'{len(others)} differ', sep='\n')
        raise SystemExit(bool(others))


if __name__ == '__main__':
    main()
