"""Speed of the calibration metrics, compared with the usual ways.

The same tensors in one process, on the CPU: (1) the histogram with all metrics, (2)
torchmetrics' BinaryCalibrationError, one metric: updated with every map and computed
once (which keeps every pixel), or updated and computed per map, and (3) the reference
procedure of the field: write each map as 8-bit PNG, read it back and loop over the bins
with masks. Peak memory is measured over 200 and then over 2,000 more maps.
"""

import argparse
import io
import resource
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchmetrics.classification import BinaryCalibrationError

from mmaslp.metrics import CalibrationHistogram

# Pairs of probability and label, each ``(H, W)``.
Maps = list[tuple[Tensor, Tensor]]


def make_maps(number: int, size: tuple[int, int], seed: int = 0) -> Maps:
    """Smooth objects on noise, in 8-bit values: every procedure sees the same."""
    generator = torch.Generator().manual_seed(seed)
    maps = []
    for _ in range(number):
        coarse = torch.randn(1, 1, 12, 16, generator=generator) * 4
        logit = torch.nn.functional.interpolate(coarse, size, mode='bicubic')[0, 0]
        logit += torch.randn(size, generator=generator)
        label = torch.rand(size, generator=generator) < torch.sigmoid(logit * 0.7)
        prob = (torch.sigmoid(logit) * 255).round() / 255
        maps.append((prob, label.long()))
    return maps


def by_histogram(maps: Maps) -> float:
    """All metrics."""
    histogram = CalibrationHistogram()
    for prob, label in maps:
        histogram.update(prob, label)
    return histogram.compute()['ece']


def by_torchmetrics(maps: Maps) -> float:
    """One metric over all maps."""
    metric = BinaryCalibrationError(n_bins=10)
    for prob, label in maps:
        metric.update(prob, label)
    return metric.compute().item()


def by_torchmetrics_per_map(maps: Maps) -> list[float]:
    """One metric per map."""
    return [by_torchmetrics([each]) for each in maps]


def by_reference(maps: Maps, bins: int = 10) -> float:
    """8-bit PNG, read back, masks per bin: top-label ECE pooled over pixels."""
    count, correct_sum, conf_sum = torch.zeros(3, bins, dtype=torch.float64)
    edges = torch.linspace(0, 1, bins + 1)
    for prob, label in maps:
        file = io.BytesIO()
        Image.fromarray((prob * 255).round().byte().numpy()).save(file, 'PNG')
        read = torch.from_numpy(np.array(Image.open(file)).astype(np.float32)) / 255
        conf = torch.maximum(read, 1 - read)
        correct = (read > 0.5).long() == label
        for k in range(bins):
            inside = (conf > edges[k]) & (conf <= edges[k + 1])
            if inside.any():
                count[k] += inside.sum()
                correct_sum[k] += correct[inside].sum()
                conf_sum[k] += conf[inside].double().sum()
    return ((conf_sum - correct_sum).abs().sum() / count.sum()).item()


def one_pass(maps: Maps) -> None:
    """Only read both inputs and take a maximum."""
    for prob, label in maps:
        prob.max()
        label.max()


def seconds(
    functions: Sequence[Callable], maps: Maps, repeats: int
) -> dict[Callable, float]:
    """Least seconds per map of each function; their turns alternate.

    On a machine with other work, the least time is the least disturbed.
    """
    best = dict.fromkeys(functions, float('inf'))
    for function in functions:
        function(maps[: max(len(maps) // 10, 1)])  # warm up
    for _ in range(repeats):
        for function in functions:
            start = time.perf_counter()
            function(maps)
            taken = (time.perf_counter() - start) / len(maps)
            best[function] = min(best[function], taken)
    return best


def peak_mb() -> float:
    """Peak memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def memory_growth(number: int, size: tuple[int, int]) -> list[float]:
    """Peak memory in MB that streaming ``number`` maps adds, and ten times as many."""
    histogram = CalibrationHistogram()
    histogram.compute()
    grown, before = [], peak_mb()
    for count in (number, 10 * number):
        for i in range(count):
            ((prob, label),) = make_maps(1, size, seed=i % 5)
            histogram.update(prob, label)
        histogram.compute()
        grown.append(peak_mb() - before)
    return grown


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--maps', type=int, default=200)
    parser.add_argument('--size', type=int, nargs=2, default=(384, 512))
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    size = (args.size[0], args.size[1])
    grown = memory_growth(args.maps, size)  # first: the peak of a process never falls
    maps = make_maps(args.maps, size)

    own, other = by_histogram(maps), by_reference(maps)
    print(f'{args.maps} maps of {size[0]} x {size[1]}, {args.threads} thread(s)')
    print(f'ece {own:.9f}, reference procedure {other:.9f}')
    if abs(own - other) > 1e-6:
        raise SystemExit('the two procedures give another ece')
    ways = (
        ('torchmetrics, all maps', by_torchmetrics, ' (goal: at least 6x)'),
        ('torchmetrics, map by map', by_torchmetrics_per_map, ''),
        ('reference procedure', by_reference, ' (goal: at least 15x)'),
    )
    functions = (by_histogram, one_pass, *(function for _, function, _ in ways))
    taken = seconds(functions, maps, args.repeats)
    fast, plain = taken[by_histogram], taken[one_pass]
    print(f'{"histogram, all metrics":<36}{1e3 * fast:9.3f} ms per map')
    for name, function, goal in ways:
        print(
            f'{name:<36}{1e3 * taken[function]:9.3f} ms per map = '
            f'{taken[function] / fast:.1f}x{goal}'
        )
    print(
        f'{"one plain pass with a maximum":<36}{1e3 * plain:9.3f} ms per map: the '
        f'histogram takes {fast / plain:.1f} of them'
    )
    print(
        f'peak memory added: {grown[0]:.1f} MB by {args.maps} maps, '
        f'{grown[1]:.1f} MB by {11 * args.maps}'
    )


if __name__ == '__main__':
    main()
