"""Fitting the temperature of a checkpoint on the validation set."""

import copy
import os.path as osp
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import all_reduce, is_main_process
from mmengine.runner import Runner

from ...core.measure.border_temperature import (
    BandHistograms,
    Temperature,
    as_temperature,
    fit_border_temperatures,
    temperature_record,
)
from ...core.measure.logit_histogram import LogitHistogram
from ...core.measure.temperature import check_temperature, fit_temperature
from ...files.outputs import check_outputs
from ...files.temperature_file import (
    fingerprint,
    read_temperature,
    temperature_path,
    write_temperature,
)
from ...report.text_table import format_table
from .config import check_checkpoint
from .config_parts import is_type, metrics_of
from .divided_scores import divided_scores
from .runs import build_runner, name_run
from .safe_loading import safe_loading
from .segmentor import check_binary, find_segmentor, replaced, two_channels
from .weights import watch_weights

__all__ = [
    'REGIONS',
    'apply_temperature',
    'collect_logits',
    'fit_checkpoint',
    'fit_record',
    'fit_summary',
    'histograms_of',
    'scale_model',
]

# Kinds of regions that can have temperatures of their own.
REGIONS = ('border',)

_HOOK = 'TemperatureHook'


def fit_checkpoint(
    cfg: Config,
    out: str | None = None,
    regions: str | None = None,
    *,
    trust_checkpoint: bool = False,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Fit the temperature of a checkpoint and write it to a JSON file.

    It takes one pass over the validation set. It leaves out pixels with the
    ``ignore_index`` of the ``CalibrationMetric`` in ``val_evaluator`` (255 without
    one).

    Args:
        cfg (Config): Config with ``load_from``, ``work_dir``, ``launcher`` and
            ``val_dataloader`` set. It is not changed.
        out (str, optional): Where to. Defaults to None: beside the checkpoint, where
            ``TemperatureHook`` looks.
        regions (str, optional): 'border' to fit a temperature per band of distance
            from the predicted border beside the single one. Defaults to None.
        trust_checkpoint (bool): Accept a checkpoint whose pickle can run code. Defaults
            to False.
        report (Callable[[str], None]): Receives what was fitted before it is written,
            so that a full disk costs no fit. Defaults to ``print``.

    Returns:
        dict: What :func:`fit_record` returns; and ``config``, ``checkpoint``,
        ``checkpoint_sha256``, ``date``. A test set of the same images is warned of.

    Raises:
        ValueError: If there is no validation set, it does not determine a temperature
            (:func:`~mmaslp.core.measure.temperature.fit_temperature`), the head is
            not binary, ``regions`` is something else, ``load_from`` is no local file or
            asks for code, or ``out`` would replace a file of another kind.
        FileNotFoundError: If the checkpoint does not exist.
        OSError: If ``out`` cannot be written.
    """
    if cfg.get('load_from'):
        check_checkpoint(cfg.load_from, trust_checkpoint)
    digest = fingerprint(cfg.get('load_from'))
    path = out or temperature_path(cfg.load_from)
    check_outputs(
        {'--out': (path, 'temperature')},
        [cfg.load_from, cfg.filename],
        make_folders=True,
    )
    with safe_loading(trust_checkpoint):
        histograms, num_images = collect_logits(cfg, regions)
    record = dict(
        fit_record(histograms, num_images),
        config=osp.basename(cfg.filename or ''),
        checkpoint=osp.basename(cfg.load_from),
        checkpoint_sha256=digest,
        date=datetime.now(timezone.utc).isoformat(timespec='seconds'),
    )
    if is_main_process():
        report(fit_summary(record))
        write_temperature(path, record)
    return record


def collect_logits(
    cfg: Config, regions: str | None = None
) -> tuple[LogitHistogram | BandHistograms, int]:
    """Run a model once over its validation set and count its logits.

    Args:
        cfg (Config): See :func:`fit_checkpoint`.
        regions (str, optional): See :func:`fit_checkpoint`. Defaults to None.

    Returns:
        tuple[LogitHistogram | BandHistograms, int]: Counts of all processes, and the
        number of images.

    Raises:
        ValueError: If there is no validation set, an image has no label, or the head
            is not binary.
    """
    histograms, num_images = histograms_of(regions), torch.zeros((), dtype=torch.int64)
    runner = _runner(cfg)
    segmentor, _ = find_segmentor(runner.model)
    collect = _collecting(
        segmentor.postprocess_result, histograms, num_images, _ignore_index(cfg)
    )
    with replaced(segmentor, 'postprocess_result', collect):
        runner.test()
    for total in (*histograms.sums(), num_images):
        all_reduce(total)
    return histograms, int(num_images)


def histograms_of(regions: str | None) -> LogitHistogram | BandHistograms:
    """Make the empty histograms that a fit needs.

    Args:
        regions (str, optional): See :func:`fit_checkpoint`.

    Raises:
        ValueError: If there is no such kind of regions.
    """
    if regions is None:
        return LogitHistogram()
    if regions not in REGIONS:
        raise ValueError(f'regions must be one of {REGIONS}, not {regions!r}')
    return BandHistograms()


def fit_record(
    histograms: LogitHistogram | BandHistograms, num_images: int
) -> dict[str, Any]:
    """Fit, and say what was fitted and what it does on the images of the fit.

    Args:
        histograms (LogitHistogram | BandHistograms): Of validation images.
        num_images (int): Their number.

    Returns:
        dict: ``temperature``, the single one; ``nll`` and ``ece``, each ``{'before',
        'after'}``, without and with it (nat per pixel; 10 bins, top label);
        ``num_images``, ``num_pixels``. Of bands also ``regions``: what
        :meth:`~mmaslp.core.measure.BorderTemperatures.record` returns; per band
        ``pixels`` and ``nll_band``; and ``nll``, ``ece`` and ``ece_band`` of all
        pixels. The last four are ``{'before', 'single', 'after'}``: without a
        temperature, with the single one, and by region.

    Raises:
        ValueError: If there is no single temperature, see
            :func:`~mmaslp.core.measure.temperature.fit_temperature`.
    """
    whole = histograms.whole() if isinstance(histograms, BandHistograms) else histograms
    temperature = fit_temperature(whole)
    record = dict(
        temperature=temperature,
        nll=dict(before=whole.nll(), after=whole.nll(temperature)),
        ece=dict(before=whole.ece(), after=whole.ece(temperature)),
        num_images=num_images,
        num_pixels=whole.count,
    )
    if isinstance(histograms, BandHistograms):
        record['regions'] = _regions(histograms, temperature)
    return record


def fit_summary(record: dict[str, Any]) -> str:
    """Lay out what was fitted, for people.

    Args:
        record (dict): Of :func:`fit_record`.

    Returns:
        str: Lines of text; with regions also a table of a row per band.
    """
    lines = [
        f'temperature {record["temperature"]:.6g} from {record["num_images"]} '
        'validation images'
    ]
    for key in ('nll', 'ece'):
        before, after = record[key]['before'], record[key]['after']
        lines.append(f'{key.upper()} {before:.6f} -> {after:.6f}')
    if regions := record.get('regions'):
        for key in ('nll', 'ece', 'ece_band'):
            before, single, after = (
                regions[key][name] for name in ('before', 'single', 'after')
            )
            lines.append(
                f'by region: {key} {before:.6f} -> {after:.6f} ({single:.6f} with the '
                'single temperature)'
            )
        lines += [
            f'\nbands of distance from the predicted border, in {regions["unit"]}:',
            _band_table(regions),
        ]
    return '\n'.join(lines)


def _band_table(regions: dict[str, Any]) -> str:
    edges = regions['edges']
    names = [*(f'to {edge:g}' for edge in edges), 'beyond']
    total = sum(regions['pixels'])
    rows = {
        name: {
            'share': regions['pixels'][band] / total,
            'T': regions['temperatures'][band],
            **{
                f'NLL {when}': values[band]
                for when, values in regions['nll_band'].items()
            },
        }
        for band, name in enumerate(names)
    }
    return format_table(rows, list(rows['beyond']))


def _regions(histograms: BandHistograms, single: float) -> dict[str, Any]:
    fitted = fit_border_temperatures(histograms)
    bands = len(fitted.temperatures)
    measures = dict(
        before=histograms.measures([1.0] * bands),
        single=histograms.measures([single] * bands),
        after=histograms.measures(fitted.temperatures),
    )
    return dict(
        fitted.record(),
        pixels=[band.count for band in histograms.bands],
        **{
            key: {name: found[key] for name, found in measures.items()}
            for key in measures['after']
        },
    )


def apply_temperature(cfg: Config, given: str, regions: bool = True) -> Temperature:
    """Let the tests of a config divide the logits by a temperature.

    Args:
        cfg (Config): Config with ``load_from`` set; another ``TemperatureHook`` in it
            is replaced.
        given (str): A number, or a file of :func:`fit_checkpoint`, or '' for the file
            beside the checkpoint.
        regions (bool): Whether to take the temperatures by region where the file has
            them; False takes its single one. Defaults to True.

    Returns:
        float | BorderTemperatures: The temperature.

    Raises:
        ValueError: See ``TemperatureHook``.
        FileNotFoundError: If there is no file.
    """
    try:
        number = float(given)
    except ValueError:
        temperature = read_temperature(cfg.load_from, given or None, regions)
    else:
        temperature = check_temperature(number)
    cfg.custom_hooks = [
        *_hooks_without(cfg, _HOOK),
        dict(type=_HOOK, temperature=temperature_record(temperature)),
    ]
    return temperature


def scale_model(model: Any, temperature: Temperature) -> None:
    """Let a model of the host's ``init_model`` give the scores of z / T from now on.

    Predictions stay as they are, see ``TemperatureHook``.

    Args:
        model (nn.Module): The model, or that of an ``MMSegInferencer``; changed in
            place.
        temperature (float | BorderTemperatures): What
            :func:`~mmaslp.files.temperature_file.read_temperature` returns.

    Raises:
        ValueError: If the model gives no logits, or is scaled already.

    Example:
        >>> model = init_model('config.py', 'epoch_30.pth')  # doctest: +SKIP
        >>> scale_model(model, read_temperature('epoch_30.pth'))  # doctest: +SKIP
    """
    segmentor, _ = find_segmentor(model)
    if 'postprocess_result' in vars(segmentor):
        raise ValueError('the model is scaled already: make a new one with init_model')
    segmentor.postprocess_result = divided_scores(
        segmentor.postprocess_result, as_temperature(temperature)
    )


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
    runner = build_runner(run)
    watch_weights(runner, cfg.get('load_from'), strict=True)
    return runner


def _hooks_without(cfg: Config, *names: str) -> list:
    hooks = cfg.get('custom_hooks') or []
    return [h for h in hooks if not any(is_type(h, name) for name in names)]


def _ignore_index(cfg: Config) -> int:
    metrics = metrics_of(cfg, 'val_evaluator')
    found = (m for m in metrics if is_type(m, 'CalibrationMetric'))
    return next(found, {}).get('ignore_index', 255)


def _collecting(
    postprocess: Callable,
    histograms: LogitHistogram | BandHistograms,
    num_images: torch.Tensor,
    ignore_index: int,
) -> Callable:
    """Count logits where the host makes probabilities of them."""

    def collect(seg_logits: Any, data_samples: Any) -> list:
        check_binary(seg_logits)
        samples = postprocess(two_channels(seg_logits), data_samples)
        for sample in samples:
            name = sample.get('img_path')
            if 'gt_sem_seg' not in sample:
                raise ValueError(
                    f'{name}: no gt_sem_seg, which the dataset has to give: add '
                    'LoadBinaryAnnotations to the pipeline of val_dataloader'
                )
            background, foreground = sample.seg_logits.data
            try:
                histograms.update(
                    foreground - background, sample.gt_sem_seg.data[0], ignore_index
                )
            except ValueError as error:
                raise ValueError(f'{name}: {error}') from error
        num_images.add_(len(samples))
        return samples

    return collect
