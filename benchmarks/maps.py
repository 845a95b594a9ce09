"""Speed of the commands on maps: a ratio against a named peer in the same run.

    python benchmarks/maps.py [--maps 1000] [--small 20000]

Maps are smooth probabilities of a made-up network, 16-bit PNG. It prints the processor
time of `fit` over that of `eval-maps`, the time per pixel of applying a calibrator, and
how much faster two processes are than one, with the memory of both.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mmaslp import Calibrator
from mmaslp.files.prob_maps import write_prob_map

COMMAND = [sys.executable, '-m', 'mmaslp']


def write_set(folder: Path, number: int, size: int) -> tuple[Path, Path]:
    """Write maps and masks, of sixteen scenes again and again."""
    rng = np.random.default_rng(0)
    maps, masks = folder / 'maps', folder / 'masks'
    for each in (maps, masks):
        each.mkdir(parents=True)
    for k in range(number):
        if k < 16:
            rows, columns = np.indices((size, size)) / size - rng.uniform(
                0.3, 0.7, (2, 1, 1)
            )
            logit = 4 - 20 * np.hypot(rows, columns) + rng.normal(0, 0.3, (size, size))
            label = rng.random(logit.shape) < 1 / (1 + np.exp(-logit))
            write_prob_map(maps / f'{k:05d}.png', 1 / (1 + np.exp(-2 * logit)))
            Image.fromarray(label.astype(np.uint8) * 255).save(masks / f'{k:05d}.png')
        else:
            for each in (maps, masks):
                (each / f'{k:05d}.png').hardlink_to(each / f'{k % 16:05d}.png')
    return maps, masks


def run(*words: object) -> tuple[float, float, float]:
    """Wall time, processor time (s) and memory (MB) of a command and its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run([*COMMAND, *map(str, words)], check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, spent, after.ru_maxrss / 1024


def main() -> None:
    """Write the maps, run the commands, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--maps', type=int, default=1000, help='of 512 x 512 pixels')
    parser.add_argument('--small', type=int, default=20000, help='of 64 x 64 pixels')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large = write_set(folder / 'large', args.maps, 512)
        cal = folder / 'cal.json'
        _, evaluated, _ = run('eval-maps', *large, '--resamples', 0)
        _, fitted, _ = run('fit', *large, '--out', cal)
        print(f'fit over eval-maps, {args.maps} maps: {fitted / evaluated:.2f}x')
        print(f'apply: {nanoseconds(Calibrator.load(cal)):.1f} ns per pixel')
        for number in (args.small // 4, args.small):
            small = write_set(folder / f'small{number}', number, 64)
            files = [folder / f'{number}_{workers}.json' for workers in (1, 2)]
            one, two = (
                run('fit', *small, '--out', file, '--workers', workers)
                for workers, file in enumerate(files, 1)
            )
            same = files[0].read_bytes() == files[1].read_bytes()
            print(
                f'{number} small maps: {one[0] / two[0]:.2f}x faster with two workers '
                f'({one[0]:.1f} s, {two[0]:.1f} s), the same file: {same}, largest '
                f'process so far {two[2]:.0f} MB'
            )


def nanoseconds(calibrator: Calibrator) -> float:
    """Least time per pixel of applying, on one thread."""
    torch.set_num_threads(1)
    prob = torch.rand(512, 512).mul_(0.2)
    prob[100:400, 150:350].add_(0.7)
    times = []
    for _ in range(30):
        start = time.process_time()
        calibrator(prob)
        times.append(time.process_time() - start)
    return min(times) / prob.numel() * 1e9


if __name__ == '__main__':
    main()
