"""Fitting a calibrator to a network of MMSegmentation, and keeping it."""

import copy
import io
import json
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import get_rank, get_world_size
from mmengine.structures import PixelData

from ...augmentation.windows import find_window, resized
from ...calibration.calibrator import Calibrator
from ...calibration.fitting.tables import CalibrationTables
from ...common.arguments import reading
from ...common.inputs import naming
from ...common.outputs import check_outputs, write_output
from ...common.processes import joined
from ...files.progress import track
from .checkpoint import (
    WeightsHook,
    check_checkpoint,
    load_safely,
    safe_loading,
)
from .checks.findings import report_findings
from .checks.run import check_datasets
from .config import build_runner, calibration_of, name_run
from .data import check_data, image_ids, inputs_of, rounds_of, sets_named
from .evaluation.metrics import ScoreReader

REPEATED = 'val_dataloader.dataset gives images several times, as RepeatDataset does'


def tables_of_checkpoint(
    cfg: Config,
    group: Callable[[Sequence[str]], Sequence[int]],
    *,
    windows: bool = False,
    trust_checkpoint: bool = False,
    out: str | None = None,
) -> CalibrationTables:
    """Run a checkpoint over its validation set, and count.

    ``cfg`` has ``load_from``, ``work_dir``, ``launcher`` and ``val_dataloader`` set and
    is not changed. ``group`` gives the paths of all images the number of the group of
    each. ``windows`` is that of :func:`collect_tables`. ``out`` is where the
    calibrator will be written, which must not be what is read. The counts are those of
    all processes.
    """
    if cfg.get('val_dataloader') is None:
        raise ValueError(
            f'{cfg.filename or "the config"} has no val_dataloader, and a calibrator '
            'must not be fitted to test images: add one'
        )

    _warn_of_shared_sets(cfg)
    check_data(sets_named(cfg, 'val'), ways_on=())
    check_checkpoint(cfg.load_from, trust_checkpoint)
    run = _run_of_fit(cfg)
    with safe_loading(trust_checkpoint):
        runner = build_runner(run)
        runner.register_hook(WeightsHook())
        runner.load_or_resume()
        loader = runner.build_dataloader(run.val_dataloader, seed=runner.seed)
        check_outputs({'`out`': out}, inputs_of(cfg, [loader.dataset]), overwrite=True)
        report_findings(check_datasets({'val': loader.dataset}))
        images = list(image_ids(loader.dataset))
        if rounds_of(loader.dataset) > 1:
            raise ValueError(f'{REPEATED}: name the data set in it')
        tables = collect_tables(
            runner.model, loader, validation_reader(cfg), group(images), windows
        )
        return joined(tables)


def _run_of_fit(cfg: Config) -> Config:
    """The config of a run that sees each validation image once."""
    run = copy.deepcopy(cfg)
    name_run(run, 'fit')
    # Of hooks that wait for a training; a checkpoint of EMAHook holds its means.
    run.update(resume=False, custom_hooks=[])
    run.val_dataloader.sampler = dict(
        type='DefaultSampler', shuffle=False, round_up=False
    )
    return run


def _warn_of_shared_sets(cfg: Config) -> None:
    """Say which images a fit or its test should not have."""
    if _shares_sets(cfg, 'val', 'train'):
        warnings.warn(
            'val_dataloader has the images of train_dataloader: the network is too '
            'sure of them: fit to other images',
            stacklevel=3,
        )
    if _shares_sets(cfg, 'test', 'val'):
        warnings.warn(
            'test_dataloader has the images of val_dataloader: what a calibrator '
            'gains there is too good: test on others',
            stacklevel=3,
        )


def _shares_sets(cfg: Config, one: str, other: str) -> bool:
    """Whether two splits of a config name one data set."""
    sets = sets_named(cfg, other)
    return any(dataset in sets for dataset in sets_named(cfg, one))


def validation_reader(cfg: Config) -> ScoreReader:
    """Reads a validation as its CalibrationMetric does, if it has one."""
    options = calibration_of(cfg, 'val_evaluator') or {}
    return ScoreReader(
        options.get('scores', 'auto'), options.get('ignore_index', 255), True
    )


@torch.no_grad()
def collect_tables(
    model: Any,
    loader: Any,
    reader: ScoreReader,
    numbers: Sequence[int] | None = None,
    windows: bool = False,
) -> CalibrationTables:
    """Run a model once over a data loader of images with labels, and count.

    Every process counts its part of the images. ``numbers`` are those of the groups of
    all images; by default every image is on its own. With ``windows`` the decision that
    nothing is there is learned from an object-free window of each image too.
    """
    size = len(loader.dataset)
    number = get_rank()
    if numbers is None:
        numbers = range(size)
    tables = CalibrationTables(model)
    rng = np.random.default_rng(0)
    training = model.training
    model.eval()

    try:
        for batch in track(loader, 'calibrating', len(loader)):
            for sample in model.val_step(batch):
                if number < size:  # samplers repeat images to fill the last batch
                    prob, label = reader.read(sample.to_dict())
                    with naming(sample.img_path):
                        tables.update(
                            prob.cpu(),
                            label.cpu(),
                            numbers[number],
                            reader.ignore_index,
                        )
                number += get_world_size()

            if windows:
                for prob in maps_of_windows(model, reader, batch, rng):
                    tables.add_negative_crop(prob)
    finally:
        model.train(training)
    return tables


def maps_of_windows(
    model: Any, reader: ScoreReader, batch: dict[str, Any], rng: np.random.Generator
) -> list[torch.Tensor]:
    """Maps ``(H, W)`` of a window of each image that has room for one."""
    windows = windows_of(batch, rng)
    if not windows['inputs']:
        return []
    samples = model.val_step(windows)
    return [reader.probability(sample.to_dict()).cpu() for sample in samples]


def windows_of(batch: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """A batch of one window of each image that has room for one.

    The masks of a validation may have another size than the images.
    """
    from mmseg.structures import SegDataSample  # after its registries are made

    inputs = []
    samples = []
    for image, sample in zip(batch['inputs'], batch['data_samples']):
        label = sample.gt_sem_seg.data
        window = find_window(label[0].cpu().numpy(), rng=rng)
        if window is None:
            continue
        height, width = image.shape[-2:]
        rows = _scaled(window[0], label.shape[-2], height)
        columns = _scaled(window[1], label.shape[-1], width)

        inputs.append(resized(image[:, rows, columns], height, width))
        samples.append(
            SegDataSample(
                metainfo=sample.metainfo,
                gt_sem_seg=PixelData(data=torch.zeros_like(label)),
            )
        )
    return {'inputs': inputs, 'data_samples': samples}


def _scaled(span: slice, length: int, new_length: int) -> slice:
    """The same span of an axis of another length, of a pixel at least, within it."""
    start = min(-(-span.start * new_length // length), new_length - 1)
    return slice(start, max(span.stop * new_length // length, start + 1))


def keep_in_checkpoint(path: str, calibrator: Calibrator, iteration: int) -> bool:
    """Write a calibrator into a checkpoint; False if that is an earlier one."""
    checkpoint = load_safely(path)
    fits = checkpoint['meta']['iter'] == iteration
    if fits:
        checkpoint['calibrator'] = json.dumps(calibrator.to_dict())
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_output(path, content.getbuffer(), overwrite=True)
    return fits


def calibrator_of_checkpoint(path: str, trust: bool = False) -> Calibrator | None:
    """Read the calibrator that :func:`keep_in_checkpoint` put into a checkpoint."""
    if not os.path.isfile(path):
        return None
    checkpoint = load_safely(path, trust=trust)
    if not isinstance(checkpoint, dict) or checkpoint.get('calibrator') is None:
        return None
    with reading(f'the calibrator in {path}'):
        return Calibrator.from_dict(json.loads(checkpoint['calibrator']))
