"""Fitting a calibrator to a network of MMSegmentation, and keeping it."""

import copy
import json
import os
import os.path as osp
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import get_rank, get_world_size
from torch import nn

from ...calibration.calibrator import Calibrator
from ...calibration.fitting.tables import CalibrationTables
from ...common.inputs import naming
from ...common.processes import joined
from ...common.weights import fingerprint_of
from ...files.progress import track
from .checkpoint import (
    check_checkpoint,
    load_safely,
    safe_loading,
    watch_weights,
)
from .checks.data import check_datasets
from .checks.findings import report_findings
from .config import build_runner, is_type, metrics_of, name_run
from .datasets.listing import image_ids
from .evaluation.metrics import ScoreReader
from .windows import windows_of

# From the paths of all images to the number of the group of each.
Group = Callable[[Sequence[str]], Sequence[int]]


def tables_of_checkpoint(
    cfg: Config, group: Group, *, windows: bool = False, trust_checkpoint: bool = False
) -> tuple[CalibrationTables, list[str]]:
    """Run a checkpoint over its validation set; count, and list the images.

    ``cfg`` has ``load_from``, ``work_dir``, ``launcher`` and ``val_dataloader`` set and
    is not changed. ``windows`` is that of :func:`collect_tables`. The counts are those
    of all processes.
    """
    if cfg.get('val_dataloader') is None:
        raise ValueError(
            'the config has no val_dataloader, and a calibrator must not be fitted to '
            'test images: add one'
        )

    check_checkpoint(cfg.load_from, trust_checkpoint)
    run = copy.deepcopy(cfg)
    name_run(run, 'fit')
    run.resume = False
    sampler = dict(type='DefaultSampler', shuffle=False, round_up=False)
    run.val_dataloader.sampler = sampler
    metrics = metrics_of(cfg, 'val_evaluator')
    options = next((m for m in metrics if is_type(m, 'CalibrationMetric')), {})
    with safe_loading(trust_checkpoint):
        runner = build_runner(run)
        watch_weights(runner, cfg.load_from)
        runner.load_or_resume()
        loader = runner.build_dataloader(run.val_dataloader, seed=runner.seed)
        report_findings(check_datasets({'val': loader.dataset}))
        reader = ScoreReader(
            options.get('scores', 'auto'), options.get('ignore_index', 255)
        )
        paths = [*image_ids(loader.dataset)]
        numbers = group(paths)
        tables = collect_tables(runner.model, loader, reader, numbers, windows)
        return tables, paths


def collect_tables(
    model: nn.Module,
    loader: Any,
    reader: ScoreReader,
    numbers: Sequence[int] | None = None,
    windows: bool = False,
) -> CalibrationTables:
    """Run a model once over a data loader of images with labels, and count.

    Every process sees its part of the images; the counts are those of all. ``numbers``
    are those of the groups of the images; by default every image is on its own. With
    ``windows`` the decision that nothing is there is learned from an object-free window
    of each image too.
    """
    size = len(loader.dataset)
    world = get_world_size()
    seen = get_rank()
    numbers = range(size) if numbers is None else numbers

    tables = CalibrationTables()
    tables.network = fingerprint_of(model)
    rng = np.random.default_rng(0)
    training = model.training
    model.eval()
    with torch.no_grad():
        for batch in track(loader, 'calibrating', len(loader)):
            for sample in model.val_step(batch):
                if seen < size:  # samplers repeat images to fill the last batch
                    _count(tables, reader, sample.to_dict(), numbers[seen])
                seen += world
            more = windows_of(batch, rng) if windows else None
            for sample in () if more is None else model.val_step(more):
                prob, _ = reader.read(sample.to_dict())
                tables.add_negative_crop(prob.cpu())

    model.train(training)
    return joined(tables)


def _count(
    tables: CalibrationTables, reader: ScoreReader, sample: dict, key: int
) -> None:
    prob, label = reader.read(sample)
    if prob.ndim != 2:
        raise ValueError(
            f'{sample.get("img_path")}: the head gives {len(prob)} classes, and a '
            'calibrator is for binary heads: one channel (out_channels=1) or two'
        )
    with naming(sample.get('img_path')):
        tables.update(prob.cpu(), label.cpu(), key, reader.ignore_index)


def keep_in_checkpoint(path: str, calibrator: Calibrator, file: str | Path) -> None:
    """Write a calibrator to a file, and its text into a checkpoint."""
    calibrator.save(file, overwrite=True)
    if not osp.isfile(path):  # a folder of shards, or none was written
        return
    checkpoint = load_safely(path)
    checkpoint['calibrator'] = json.dumps(calibrator.to_dict())
    partial = f'{path}.partial'
    torch.save(checkpoint, partial)
    os.replace(partial, path)


def calibrator_of_checkpoint(path: str, trust: bool = False) -> Calibrator | None:
    """Read the calibrator that :func:`keep_in_checkpoint` put into a checkpoint."""
    if not osp.isfile(path):
        return None
    checkpoint = load_safely(path, trust=trust)
    text = checkpoint.get('calibrator') if isinstance(checkpoint, dict) else None
    if text is None:
        return None
    try:
        return Calibrator.from_dict(json.loads(text))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f'{path}: the calibrator in it is damaged ({error}): give one with '
            '--calibrator FILE'
        ) from error
