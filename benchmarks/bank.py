#!/usr/bin/env python
"""Cost of levels per image for very many images.

``OMP_NUM_THREADS=1 python benchmarks/bank.py 10_000_000`` prints a table. The ids have
the usual length of paths (about 50 characters).
"""

import argparse
import copy
import os
import resource
import tempfile
import time

import numpy as np
import torch

from mmaslp import ImageLevels

BATCH = 64


def name_of(i):
    """Make a path of usual length."""
    return f'data/some_dataset/train/images/{i % 1000:03d}/img_{i:09d}.jpg'


def resident():
    """Present and peak memory of the process in GB."""
    with open('/proc/self/statm') as file:
        now = int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')
    return now / 1e9, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def timed(function):
    """Run a function; return what it returns, and the seconds it took."""
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


def iteration(levels, names, step):
    """Draw, and move the levels by margins like those of a loss."""
    sample = levels.sample(names, step)
    sample.record(sample.perturbed.float())
    levels.update(sample)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('number', type=int, nargs='?', default=10_000_000)
    number = parser.parse_args().number
    torch.set_num_threads(1)
    before, _ = resident()
    levels, build = timed(lambda: ImageLevels(map(name_of, range(number))))
    levels.observe(accuracy=0.95)
    bank = levels.bank
    after, peak = resident()
    print(f'images: {len(bank):,}')
    print(f'build: {build:.1f} s, peak {peak - before:.2f} GB')
    print(f'held: {after - before:.2f} GB')

    picked = np.random.default_rng(0).integers(0, number, (200, BATCH))
    batches = [[name_of(i) for i in batch] for batch in picked]
    _, taken = timed(lambda: [iteration(levels, b, i) for i, b in enumerate(batches)])
    print(f'iteration, batch of {BATCH}: {taken / len(batches) * 1e6:.0f} us')

    state, copied = timed(lambda: copy.deepcopy(bank.state_dict()))
    print(f'copy that MMEngine makes for a checkpoint: {copied:.2f} s')
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'state.pth')
        _, saved = timed(lambda: torch.save(state, path))
        print(f'save: {saved:.2f} s, {os.path.getsize(path) / 1e9:.2f} GB')
        state, read = timed(lambda: torch.load(path, weights_only=True))
    found, load = timed(lambda: bank.load_state_dict(state))
    print(f'load: {read:.2f} s to read, {load:.1f} s to match {found:,} images')
    print(f'peak of the process: {resident()[1]:.2f} GB')


if __name__ == '__main__':
    main()
