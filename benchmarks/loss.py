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
from pathlib import Path
from types import SimpleNamespace

import torch
from mmaslp.hosts.mmseg.models.losses import SCBCELoss
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from mmseg.models.losses import CrossEntropyLoss

from mmaslp.hosts.mmseg.config import load_config
from mmaslp.hosts.mmseg.hooks import ASLPHook
from mmaslp.hosts.mmseg.metrics import CalibrationMetric

ROOT = Path(__file__).resolve().parents[1]
SHAPE = (10, 1, 384, 384)


def median_ms(call, repeats=21):
    """Median time of a call in milliseconds, after two calls to warm up."""
    call()
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def bench_loss():
    """Forward and backward of both losses on the same tensors."""
    generator = torch.Generator().manual_seed(0)
    logits = (4 * torch.randn(SHAPE, generator=generator)).requires_grad_()
    labels = (torch.rand(SHAPE[0], *SHAPE[2:], generator=generator) < 0.3).long()
    losses = {
        'host': CrossEntropyLoss(use_sigmoid=True, avg_non_ignore=True),
        'SCBCELoss': SCBCELoss(alpha=0.2),
    }

    def run(loss):
        logits.grad = None
        loss(logits, labels, ignore_index=255).backward()

    return {
        name: median_ms(lambda loss=loss: run(loss)) for name, loss in losses.items()
    }


def make_runner(num_images):
    """The parts of a runner that the hook needs: paths, a head with the loss."""
    paths = [f'data/DUTS-TR/DUTS-TR-Image/{i:08d}.jpg' for i in range(num_images)]

    class Dataset:
        def __len__(self):
            return num_images

        def get_data_info(self, index):
            return {'img_path': paths[index]}

    loop = SimpleNamespace(
        dataloader=Loader(Dataset()),
        max_epochs=30,
        max_iters=30,
        val_begin=1,
        val_interval=1,
        dynamic_milestones=[0],
        dynamic_intervals=[1],
        epoch=0,
    )
    model = torch.nn.ModuleDict({'loss_decode': SCBCELoss()})
    return SimpleNamespace(
        train_loop=loop,
        val_loop=SimpleNamespace(
            evaluator=SimpleNamespace(metrics=[CalibrationMetric()])
        ),
        model=model,
        iter=0,
        seed=0,
        message_hub=MessageHub.get_instance(f'bench_{num_images}'),
        paths=paths,
    )


class Loader:
    """The part of a dataloader that the hook reads."""

    batch_size = 10

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return -(-len(self.dataset) // self.batch_size)


def bench_hook(num_images):
    """One iteration of the hook: look-up, draw, update, log."""
    runner = make_runner(num_images)
    hook = ASLPHook(
        levels='image', rule='MC', warmup_epochs=0, draw_histogram=False, export=None
    )
    hook.before_train(runner)
    hook.after_val_epoch(
        runner, {'calib/acc': 0.95, 'calib/conf': 0.97, 'calib/median_gap': 0.02}
    )
    loss = runner.model['loss_decode']
    logits = torch.randn(10, 1, 8, 8)
    labels = torch.ones(10, 8, 8, dtype=torch.long)
    total = []
    for step in range(300):
        start_row = step * 7919 % (num_images - 10)
        paths = runner.paths[start_row : start_row + 10]
        batch = {'data_samples': [SimpleNamespace(img_path=p) for p in paths]}
        runner.iter = step
        start = time.perf_counter()
        hook.before_train_iter(runner, step, batch)
        middle = time.perf_counter()
        loss(logits, labels)
        resume = time.perf_counter()
        hook.after_train_iter(runner, step, batch)
        total.append(time.perf_counter() - resume + middle - start)
    # The mean, not the median, so that iterations with a log entry count too.
    return 1e3 * statistics.fmean(total[50:])


def bench_epochs(epochs):
    """Alternating training epochs of the demo with BCE and with ASLP."""
    warnings.simplefilter('ignore')
    times = {}
    with tempfile.TemporaryDirectory() as folder:
        runners = {}
        for name in ('bce', 'aslp_mc'):
            cfg = load_config(str(ROOT / 'configs' / 'demo' / f'{name}.py'))
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
    ratio = loss['SCBCELoss'] / loss['host']
    print(f'\nloss, {SHAPE} float32, int64 labels: forward + backward (+ margins)')
    print(f'  host CrossEntropyLoss(use_sigmoid=True)  {loss["host"]:8.2f} ms')
    print(f'  SCBCELoss                                {loss["SCBCELoss"]:8.2f} ms')
    print(f'  ratio {ratio:.3f}   (asked: at most 0.25)')

    print('\nhook, batch 10: look-up, draw, update, log')
    for num_images in (1000, args.images):
        cost = bench_hook(num_images)
        share = cost / loss['SCBCELoss']
        print(
            f'  bank of {num_images:>9,} images  {cost:8.3f} ms, '
            f"{100 * cost / loss['host']:.2f} % of the host's loss, "
            f'{100 * share:.2f} % of SCBCELoss'
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
