#!/usr/bin/env python
"""Speed of the loss, of the hook and of a training epoch, as ratios.

Each is compared with a peer in the same process and run: the loss with MMSegmentation's
``CrossEntropyLoss(use_sigmoid=True)``, the hook with the loss, an epoch with ASLP with
an epoch of plain BCE.

    python benchmarks/loss.py [--images 1000000] [--epochs 15] [--threads 2]
"""

import argparse
import platform
import queue
import statistics
import tempfile
import threading
import time
import warnings
from functools import partial
from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.models.losses import CrossEntropyLoss
from mmseg.structures import SegDataSample
from torch import nn
from torch.utils.data import Dataset

from mmaslp import (
    ASLPHook,
    BandLevels,
    CalibrationMetric,
    ImageBandLevels,
    SCBCELoss,
)
from mmaslp.integrations.mmseg.config import read_config

ROOT = Path(__file__).resolve().parents[1]
SHAPE = (10, 1, 384, 384)


def median_ms(calls, repeats=41):
    """Median times of calls in milliseconds, which take turns, after two rounds."""
    times = {name: [] for name in calls}
    for _ in range(repeats + 2):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: 1e3 * statistics.median(each[2:]) for name, each in times.items()}


def bench_loss():
    """Forward and backward of the losses on the same tensors."""
    generator = torch.Generator().manual_seed(0)
    logits = (4 * torch.randn(SHAPE, generator=generator)).requires_grad_()
    labels = torch.zeros(SHAPE[0], *SHAPE[2:], dtype=torch.long)
    labels[:, 100:250, 80:300] = 1
    by_band = SCBCELoss()
    by_image_and_band = SCBCELoss()
    for loss, levels in (
        (by_band, BandLevels()),
        (by_image_and_band, ImageBandLevels()),
    ):
        levels.levels.fill_(0.2)
        loss.criterion.bind(levels)
    levels.mean_error = 0.1
    losses = {
        'CrossEntropyLoss(use_sigmoid=True)': CrossEntropyLoss(
            use_sigmoid=True, avg_non_ignore=True
        ),
        'SCBCELoss, by image': SCBCELoss(alpha=0.2),
        'SCBCELoss, by band': by_band,
        'SCBCELoss, by image and band': by_image_and_band,
    }

    def run(loss):
        logits.grad = None
        loss(logits, labels, ignore_index=255).backward()

    return median_ms({name: partial(run, loss) for name, loss in losses.items()})


class Listed(Dataset):
    """Names very many images, all of which look alike."""

    def __init__(self, number):
        self.number = number

    def __len__(self):
        return self.number

    def get_data_info(self, index):
        """Path of an image."""
        return {'img_path': f'data/DUTS-TR/DUTS-TR-Image/{index:08d}.jpg'}

    def __getitem__(self, index):
        label = torch.zeros(1, 8, 8, dtype=torch.long)
        label[..., 4:] = 1
        sample = SegDataSample(metainfo=self.get_data_info(index))
        sample.gt_sem_seg = PixelData(data=label)
        return dict(inputs=torch.zeros(3, 8, 8), data_samples=sample)


class Tiny(BaseModel):
    """One convolution and the loss."""

    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(3, 1, 1)
        self.loss_decode = SCBCELoss()

    def forward(self, inputs, data_samples, mode):
        """Loss, or probabilities."""
        logits = self.head(torch.stack(inputs))
        if mode == 'loss':
            labels = torch.cat([s.gt_sem_seg.data for s in data_samples])
            return dict(loss=self.loss_decode(logits, labels))
        for sample, map_ in zip(data_samples, logits.sigmoid()):
            sample.seg_logits = PixelData(data=map_)
        return data_samples


class Timed(ASLPHook):
    """Notes what the hook costs in each iteration."""

    def __init__(self, **options):
        super().__init__(**options)
        self.times = []

    def before_train_iter(self, *args, **kwargs):
        """See ASLPHook."""
        start = time.perf_counter()
        super().before_train_iter(*args, **kwargs)
        self.times.append(time.perf_counter() - start)

    def after_train_iter(self, *args, **kwargs):
        """See ASLPHook."""
        start = time.perf_counter()
        super().after_train_iter(*args, **kwargs)
        self.times[-1] += time.perf_counter() - start


def loader(number, sampler):
    """Dataloader of as many images."""
    return dict(
        batch_size=10,
        dataset=Listed(number),
        sampler=dict(type=sampler, shuffle=sampler == 'InfiniteSampler'),
        collate_fn=dict(type='pseudo_collate'),
        num_workers=0,
    )


def bench_hook(num_images, **options):
    """Mean cost in ms of an iteration of the hook in a training of MMEngine."""
    hook = Timed(warmup_iters=0, **options)
    with tempfile.TemporaryDirectory() as folder:
        Runner(
            model=Tiny(),
            work_dir=folder,
            train_dataloader=loader(num_images, 'InfiniteSampler'),
            val_dataloader=loader(20, 'DefaultSampler'),
            train_cfg=dict(by_epoch=False, max_iters=300, val_interval=25),
            val_cfg=dict(),
            val_evaluator=dict(type=CalibrationMetric),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            default_hooks=dict(checkpoint=None),
            custom_hooks=[hook],
            log_level='ERROR',
            default_scope='mmengine',
            experiment_name=f'bench_{num_images}_{options["levels"]}',
        ).train()
    # The mean, not the median, so that iterations with a log entry count too.
    return 1e3 * statistics.fmean(hook.times[50:])


def bench_epochs(epochs):
    """Alternating training epochs of the demo with BCE and with ASLP."""
    warnings.simplefilter('ignore')
    times = {}
    with tempfile.TemporaryDirectory() as folder:
        runners = {}
        for name in ('bce', 'aslp_mc'):
            cfg = read_config(str(ROOT / 'configs' / 'demo' / f'{name}.py'))
            cfg.work_dir = str(Path(folder) / name)
            cfg.experiment_name = f'bench_{name}'
            cfg.log_level = 'ERROR'
            cfg.train_cfg.max_epochs = epochs + 7  # warm-up, and two to warm up
            cfg.default_hooks.checkpoint.interval = 10**6
            runners[name] = Stepper(Runner.from_cfg(cfg), times.setdefault(name, []))
        for _ in range(epochs + 7):
            for runner in runners.values():
                runner.step()
        for runner in runners.values():
            runner.thread.join()
    return {name: 1e3 * statistics.median(t[7:]) for name, t in times.items()}


class Stepper(Hook):
    """Trains in a thread, one epoch per step; notes times without validation."""

    priority = 'VERY_LOW'

    def __init__(self, runner, times):
        self.turn, self.done = queue.Queue(), queue.Queue()
        self.times = times
        runner.register_hook(self)
        self.thread = threading.Thread(target=runner.train)
        self.thread.start()

    def step(self):
        """Let the thread train one epoch and wait for it."""
        self.turn.put(None)
        self.done.get()

    def before_train_epoch(self, runner):
        """Wait for the turn."""
        self.turn.get()
        self.start = time.perf_counter()

    def after_train_epoch(self, runner):
        """Note the time and give the turn back."""
        self.times.append(time.perf_counter() - self.start)
        self.done.put(None)


def main():
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=1_000_000)
    parser.add_argument('--epochs', type=int, default=15)
    parser.add_argument('--threads', type=int, default=2)
    args = parser.parse_args()
    warnings.simplefilter('ignore')
    torch.set_num_threads(args.threads)
    print(
        f'{time.strftime("%Y-%m-%d")}, {platform.machine()}, {args.threads} threads, '
        f'torch {torch.__version__}, seed 0'
    )
    loss = bench_loss()
    peer = next(iter(loss))
    print(f'\nloss, {SHAPE} float32, int64 labels: forward + backward')
    for name, cost in loss.items():
        print(f'  {name:36} {cost:8.2f} ms, ratio {cost / loss[peer]:.3f}')
    ratio = loss['SCBCELoss, by image and band'] / loss['SCBCELoss, by band']
    print(f'  by image and band over by band: {ratio:.3f}   (asked: at most 1.1)')

    print('\nhook, batch 10, in a training of MMEngine')
    image = dict(levels='image', rule='MC', draw_histogram=False)
    for number, options in (
        (1000, image),
        (args.images, image),
        (args.images, dict(levels='band')),
    ):
        cost = bench_hook(number, **options)
        print(
            f'  {options["levels"]:7} {number:>9,} images  {cost:8.3f} ms, '
            f'{100 * cost / loss[peer]:.2f} % of {peer}'
        )

    if args.epochs:
        print('\ntraining epoch of the demo, alternating (warm-up left out)')
        epoch = bench_epochs(args.epochs)
        for name, cost in epoch.items():
            print(f'  {name:8s} {cost:8.1f} ms')
        ratio = epoch['aslp_mc'] / epoch['bce']
        print(f'  ratio {ratio:.3f}   (asked: at most 1.03)')


if __name__ == '__main__':
    main()
