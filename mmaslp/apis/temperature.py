"""Fitting the temperature of a checkpoint on the validation set."""

import copy
import logging
import os.path as osp
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import all_reduce, is_main_process
from mmengine.logging import print_log
from mmengine.runner import Runner

from ..checks.data import tests_on_validation
from ..checks.parts import is_type, metrics_of
from ..core.calibration.temperature import (
    LogitHistogram,
    check_temperature,
    fit_temperature,
)
from ..utils.segmentor import check_binary, find_segmentor, replaced
from ..utils.temperature_file import (
    fingerprint,
    read_temperature,
    temperature_path,
    write_temperature,
)
from .runs import build_runner, name_run

__all__ = ['apply_temperature', 'collect_logits', 'fit_checkpoint']

_HOOK = 'TemperatureHook'


def fit_checkpoint(cfg: Config, out: str | None = None) -> dict[str, Any]:
    """Fit the temperature of a checkpoint and write it to a JSON file.

    It takes one pass over the validation set. It leaves out pixels with the
    ``ignore_index`` of the ``CalibrationMetric`` in ``val_evaluator`` (255 without
    one).

    Args:
        cfg (Config): Config with ``load_from``, ``work_dir``, ``launcher`` and
            ``val_dataloader`` set. It is not changed.
        out (str, optional): Where to. Defaults to None: beside the checkpoint, where
            ``TemperatureHook`` looks.

    Returns:
        dict: ``temperature``; ``nll`` and ``ece``, each ``{'before', 'after'}``, on the
        validation set (nat per pixel; 10 bins, top label); ``num_images``,
        ``num_pixels``, ``config``, ``checkpoint``, ``checkpoint_sha256``, ``date``. A
        warning says if the test set has the same images.

    Raises:
        ValueError: If there is no validation set, it does not determine a temperature
            (:func:`~mmaslp.core.calibration.temperature.fit_temperature`), the head is
            not binary, or ``load_from`` is no local file.
    """
    digest = fingerprint(cfg.get('load_from'))
    histogram, num_images = collect_logits(cfg)
    if tests_on_validation(cfg):
        print_log(
            'test_dataloader has the images of val_dataloader: after this fit its '
            'metrics are not those of unseen images',
            logger='current',
            level=logging.WARNING,
        )
    temperature = fit_temperature(histogram)
    record = dict(
        temperature=temperature,
        nll=dict(before=histogram.nll(), after=histogram.nll(temperature)),
        ece=dict(before=histogram.ece(), after=histogram.ece(temperature)),
        num_images=num_images,
        num_pixels=histogram.count,
        config=osp.basename(cfg.filename or ''),
        checkpoint=osp.basename(cfg.load_from),
        checkpoint_sha256=digest,
        date=datetime.now(timezone.utc).isoformat(timespec='seconds'),
    )
    if is_main_process():
        write_temperature(out or temperature_path(cfg.load_from), record)
    return record


def collect_logits(cfg: Config) -> tuple[LogitHistogram, int]:
    """Run a model once over its validation set and count its logits.

    Args:
        cfg (Config): See :func:`fit_checkpoint`.

    Returns:
        tuple[LogitHistogram, int]: Counts of all processes, and the number of images.

    Raises:
        ValueError: If there is no validation set, an image has no label, or the head
            is not binary.
    """
    runner = _runner(cfg)
    segmentor, _ = find_segmentor(runner.model)
    histogram, num_images = LogitHistogram(), torch.zeros((), dtype=torch.int64)
    collect = _collecting(
        segmentor.postprocess_result, histogram, num_images, _ignore_index(cfg)
    )
    with replaced(segmentor, 'postprocess_result', collect):
        runner.test()
    for total in (histogram.counts, histogram.wrong, num_images):
        all_reduce(total)
    return histogram, int(num_images)


def apply_temperature(cfg: Config, given: str) -> float:
    """Let the tests of a config divide the logits by a temperature.

    Args:
        cfg (Config): Config with ``load_from`` set; another ``TemperatureHook`` in it
            is replaced.
        given (str): A number, or a file of :func:`fit_checkpoint`, or '' for the file
            beside the checkpoint.

    Returns:
        float: The temperature.

    Raises:
        ValueError: See :class:`~mmaslp.engine.hooks.TemperatureHook`.
        FileNotFoundError: If there is no file.
    """
    try:
        number = float(given)
    except ValueError:
        temperature = read_temperature(cfg.load_from, given or None)
    else:
        temperature = check_temperature(number)
    cfg.custom_hooks = [
        *_hooks_without(cfg, _HOOK),
        dict(type=_HOOK, temperature=temperature),
    ]
    return temperature


def _runner(cfg: Config) -> Runner:
    """A runner whose test set is the validation set, every image once."""
    if cfg.get('val_dataloader') is None:
        raise ValueError(
            'the config has no val_dataloader, and a temperature must not be fitted '
            'on test images: add one'
        )
    run = copy.deepcopy(cfg)
    name_run(run, 'temperature')
    # They would write their files of test images into it.
    run.custom_hooks = _hooks_without(run, _HOOK, 'ProbMapHook')
    (run.get('default_hooks') or {}).pop('visualization', None)
    run.test_dataloader = run.val_dataloader
    run.test_dataloader.sampler = dict(
        type='DefaultSampler', shuffle=False, round_up=False
    )
    run.test_cfg = run.get('test_cfg') or dict(type='TestLoop')
    run.test_evaluator = []
    run.resume = False
    return build_runner(run)


def _hooks_without(cfg: Config, *names: str) -> list:
    hooks = cfg.get('custom_hooks') or []
    return [h for h in hooks if not any(is_type(h, name) for name in names)]


def _ignore_index(cfg: Config) -> int:
    metrics = metrics_of(cfg, 'val_evaluator')
    found = (m for m in metrics if is_type(m, 'CalibrationMetric'))
    return next(found, {}).get('ignore_index', 255)


def _collecting(
    postprocess: Callable,
    histogram: LogitHistogram,
    num_images: torch.Tensor,
    ignore_index: int,
) -> Callable:
    """Count logits where the host turns them into probabilities.

    The host itself undoes padding, flips and resizing, but it applies the sigmoid to a
    single channel. So a channel of zeros is put before it.
    """

    def collect(seg_logits: Any, data_samples: Any) -> list:
        check_binary(seg_logits)
        seg_logits = seg_logits.float()
        if seg_logits.shape[1] == 1:
            seg_logits = torch.cat([torch.zeros_like(seg_logits), seg_logits], dim=1)
        samples = postprocess(seg_logits, data_samples)
        for sample in samples:
            name = sample.get('img_path')
            if 'gt_sem_seg' not in sample:
                raise ValueError(
                    f'{name}: no gt_sem_seg, which the dataset has to give: add '
                    'LoadBinaryAnnotations to the pipeline of val_dataloader'
                )
            background, foreground = sample.seg_logits.data
            try:
                histogram.update(
                    foreground - background, sample.gt_sem_seg.data[0], ignore_index
                )
            except ValueError as error:
                raise ValueError(f'{name}: {error}') from error
        num_images.add_(len(samples))
        return samples

    return collect
