"""Evaluating one model on one or several test sets."""

import copy
import math
import os.path as osp
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import DATASETS

from ...calibration.calibrator import Calibrator
from ...common.outputs import check_outputs, write_output
from ...evaluation.map_folders import SOD_COLUMNS
from ...evaluation.result import Tested
from ...evaluation.result_files import strict_json
from ...metrics.catalogue import SHOWN, mean_iou
from ...report.comparison import compare, in_a_sentence
from ...report.text_table import format_table, with_mean
from .calibration import calibrator_of_checkpoint
from .checkpoint import (
    check_checkpoint,
    safe_loading,
    seed_of_training,
    watch_weights,
)
from .checks.data import no_foreground
from .checks.findings import report_findings
from .checks.run import check_run
from .config import build_runner, is_type, metrics_of, name_run
from .datasets.listing import data_files
from .engine.network_check_hook import NetworkCheckHook
from .engine.prob_map_hook import ProbMapHook
from .engine.review_hook import ReviewHook
from .evaluation.metrics import CalibrationMetric

# The choices of `--eval`: the metric, and the columns that it adds to the table.
EVALUATIONS = {
    'ece': (dict(type='CalibrationMetric'), SHOWN),
    'sod': (dict(type='SODMetric'), SOD_COLUMNS),
    'iou': (dict(type='IoUMetric', iou_metrics=['mIoU']), ('mIoU %',)),
}
# Undefined on a set without objects.
_TWO_CLASSES = 'mIoU %'
# What `results.json` says beside the metrics of every set.
FORMAT = 'mmaslp test 1'
# Prefix of the metrics of calibrated probabilities.
CALIBRATED = 'calibrated'


def test_sets(cfg: Config, names: Sequence[str] | None = None) -> dict[str, dict]:
    """Data sets of a test by name: the main one of the config, then ``test_sets``."""
    if cfg.get('test_dataloader') is None:
        raise ValueError('the config has no test_dataloader')
    main = cfg.test_dataloader.dataset
    name = main.get('layout') or main.get('split')
    found = {name if _is_folder_name(name) else 'test': main}
    named = cfg.get('test_sets') or {}
    if not (
        isinstance(named, dict) and all(isinstance(d, dict) for d in named.values())
    ):
        raise ValueError(
            f'test_sets must be a dict of data sets by name, not {named!r}'
        )

    for name, dataset in named.items():
        if not _is_folder_name(name):
            raise ValueError(
                f'test_sets: {name!r} cannot be the name of a folder, where the '
                'results of this set go: name it without "/"'
            )
        if name in found:
            raise ValueError(f'two test sets have the same name: {name}')
        found[name] = dataset

    unknown = [name for name in names or [] if name not in found]
    if unknown:
        raise ValueError(f'no test set {unknown}, the config has {[*found]}')
    return {name: found[name] for name in found if not names or name in names}


test_sets.__test__ = False


def _is_folder_name(name: Any) -> bool:
    """Whether a name stays inside of the folder of all sets."""
    return (
        isinstance(name, str)
        and name != 'format'
        and name == osp.basename(name)
        and name.isprintable()
        and name not in ('', '.', '..')
    )


def _input_images(cfg: Config, sets: Mapping[str, dict]) -> dict[str, list[str]]:
    """List images and masks by set; name all sets whose files are missing."""
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    found: dict[str, list[str]] = {}
    missing = {}
    for name, dataset in sets.items():
        try:
            found[name] = [*data_files(DATASETS.build(copy.deepcopy(dataset)))]
        except (ValueError, FileNotFoundError) as error:
            missing[name] = f'{name}: {error}'
    if missing:
        others = ' '.join(name for name in sets if name not in missing)
        hint = f'\nto test the others: mmaslp test --sets {others}' if others else ''
        raise ValueError('\n'.join(missing.values()) + hint)
    return found


def _files_of_metric(folder: str) -> list[str]:
    """List what our metrics write."""
    names = ['calibration_{}.json']
    names += [f'{f}_{{}}.{s}' for f in ('reliability', 'bands') for s in ('png', 'pdf')]
    stages = ('test', f'{CALIBRATED}_test')
    return [osp.join(folder, name.format(stage)) for name in names for stage in stages]


def _files_of_images(folder: str | None, images: Sequence[str]) -> list[str]:
    """List the maps, or what MMSegmentation's IoUMetric writes."""
    if folder is None:
        return []
    stems = {osp.splitext(osp.basename(image))[0] for image in images}
    return [osp.join(folder, f'{stem}.png') for stem in sorted(stems)]


@dataclass(frozen=True)
class NamedCalibrator:
    """A calibrator, and where it is from."""

    calibrator: Calibrator
    name: str


def calibrator_of_test(
    cfg: Config, file: str | None, checkpoint: str, trust_checkpoint: bool = False
) -> NamedCalibrator | None:
    """The calibrator of a file, else of the config's metric, else of the checkpoint."""
    named = file or (_calibration_of(cfg) or {}).get('calibrator')
    if named is not None:
        loaded = named if isinstance(named, Calibrator) else Calibrator.load(named)
        return NamedCalibrator(loaded, 'the config' if loaded is named else str(named))

    check_checkpoint(checkpoint, trust_checkpoint)
    stored = calibrator_of_checkpoint(checkpoint, trust_checkpoint)
    name = f'stored in {osp.basename(checkpoint)}'
    return None if stored is None else NamedCalibrator(stored, name)


def results_folder(cfg: Config, tta: bool = False) -> str:
    """Name the folder of the results: ``{work_dir}/eval``, or ``eval_tta`` of views."""
    return osp.join(cfg.work_dir, 'eval_tta' if tta else 'eval')


def evaluate(
    cfg: Config,
    sets: Mapping[str, dict],
    *,
    evals: Sequence[str] | None = None,
    out: str | None = None,
    out_prob: str | None = None,
    prob_bits: int = 16,
    tta: bool = False,
    keep_worst: int = 0,
    calibrator: NamedCalibrator | None = None,
    review: str | None = None,
    trust_checkpoint: bool = False,
    overwrite: bool = False,
) -> dict[str, Tested]:
    """Test a model on several sets, one run each.

    With a calibrator calibrated probabilities are measured too, if calibration is, the
    maps of ``out_prob`` are calibrated, and ``review`` is the file that says which
    masks to trust, with the name of the set in it if there are several.

    ``cfg`` has ``load_from``, ``work_dir`` and ``launcher`` set, ``sets`` come from
    :func:`test_sets`, ``keep_worst`` is that of ``CalibrationMetric``, and the other
    options are those of ``mmaslp test``. Files of a set go to
    ``{results_folder(cfg, tta)}/{name}``, the metrics of all of them to
    ``results.json`` beside these folders.

    Returns:
        dict[str, Tested]: By set.

    Raises:
        FileNotFoundError: The checkpoint does not exist.
        ValueError: It is damaged, asks for code or does not fit the model, config or
            masks do not serve, nothing is measured, or a folder of outputs holds images
            or masks of the data.
        FileExistsError: An output is there already, and ``overwrite`` is False.
    """
    if cfg.get('load_from'):
        check_checkpoint(cfg.load_from, trust_checkpoint)
    several = len(sets) > 1
    base = results_folder(cfg, tta)
    images = _input_images(cfg, sets)
    inputs = sorted({osp.dirname(path) for path in chain(*images.values())})
    outputs: dict[str, list[str]] = {'--out': [], '--out-prob': [], '--review': []}
    outputs['--work-dir'] = [osp.join(base, 'results.json')]
    for name in sets:
        folder = _folder_of(out, name, several)
        outputs['--out'] += _files_of_images(folder, images[name])
        outputs['--work-dir'] += _files_of_metric(folder or osp.join(base, name))

        folder = _folder_of(out_prob, name, several)
        outputs['--out-prob'] += _files_of_images(folder, images[name])
        outputs['--review'] += [review_file(review, name, several)] if review else []

    check_outputs(outputs, inputs, overwrite)
    seed = seed_of_training(cfg.get('load_from'))
    results = {}
    with safe_loading(trust_checkpoint):
        for name, dataset in sets.items():
            folder = _folder_of(out, name, several) or osp.join(base, name)
            run = _config_of_run(cfg, name, dataset, several, tta)
            run.test_evaluator = _evaluators(cfg, evals, folder, keep_worst, overwrite)
            if out is not None:
                for metric in run.test_evaluator:
                    metric.update(output_dir=folder, keep_results=True)
            runner = build_runner(run)
            measured = _calibration_of(run)
            if calibrator is not None and measured is not None:
                metric = _calibrated(measured, calibrator, folder)
                runner.test_loop.evaluator.metrics.append(metric)
            for metric in runner.test_loop.evaluator.metrics:
                if isinstance(metric, CalibrationMetric):
                    metric.training = seed
            watch_weights(runner, cfg.get('load_from'), strict=True)
            report_findings(check_run(runner, ('test',)))
            own = None if calibrator is None else calibrator.calibrator
            if own is not None:
                runner.register_hook(NetworkCheckHook(own))
            scores = (measured or {}).get('scores', 'auto')
            if out_prob is not None:
                maps = _folder_of(out_prob, name, several)
                runner.register_hook(
                    ProbMapHook(maps, prob_bits, scores, own, overwrite)
                )
            if review is not None and own is not None:
                file = review_file(review, name, several)
                hook = ReviewHook(file, own, scores=scores, overwrite=overwrite)
                runner.register_hook(hook)
            results[name] = _test(runner, name, folder)

    if is_main_process():
        _save(osp.join(base, 'results.json'), results, overwrite)
    return results


def _folder_of(base: str | None, name: str, several: bool) -> str | None:
    """Name the folder of one of the test sets."""
    return osp.join(base, name) if base and several else base


def review_file(file: str, name: str, several: bool) -> str:
    """Name the review of one of the test sets."""
    stem, suffix = osp.splitext(file)
    return f'{stem}_{name}{suffix}' if several else file


def _config_of_run(
    cfg: Config, name: str, dataset: dict, several: bool, tta: bool
) -> Config:
    run = copy.deepcopy(cfg)
    name_run(run, name)
    if run.get('visualizer') is not None and run.visualizer.get('save_dir'):
        show_dir = _folder_of(run.visualizer.save_dir, name, several)
        run.visualizer.save_dir = show_dir
    run.test_dataloader.dataset = dataset
    if tta:
        if cfg.get('tta_pipeline') is None or cfg.get('tta_model') is None:
            raise ValueError('--tta needs tta_pipeline and tta_model in the config')
        run.test_dataloader.dataset.pipeline = run.tta_pipeline
        run.tta_model.module = run.model
        run.model = run.tta_model
    return run


def _evaluators(
    cfg: Config,
    evals: Sequence[str] | None,
    folder: str,
    keep_worst: int,
    overwrite: bool,
) -> list[dict]:
    given = copy.deepcopy(metrics_of(cfg, 'test_evaluator'))
    metrics = given
    if evals:
        metrics = []
        for wanted in (EVALUATIONS[e][0] for e in dict.fromkeys(evals)):
            same = [m for m in given if is_type(m, wanted['type'])]
            metrics += same or [copy.deepcopy(wanted)]

    if not metrics:
        raise ValueError(
            'nothing to measure: give --eval, or a test_evaluator in the config'
        )

    for metric in metrics:
        if is_type(metric, 'CalibrationMetric'):
            metric.pop('calibrator', None)  # its row is raw; another one is calibrated
            metric.setdefault('output_dir', folder)
            metric.setdefault('keep_worst', keep_worst)
            metric['overwrite'] = overwrite

    return metrics


def _calibration_of(cfg: Config) -> dict | None:
    metrics = metrics_of(cfg, 'test_evaluator')
    return next((m for m in metrics if is_type(m, 'CalibrationMetric')), None)


def _calibrated(
    measured: dict, calibrator: NamedCalibrator, folder: str
) -> CalibrationMetric:
    """A second CalibrationMetric, of calibrated probabilities."""
    options = {k: v for k, v in measured.items() if k not in ('type', 'prefix')}
    options.update(output_dir=folder, keep_worst=0, calibrator=calibrator.calibrator)
    metric = CalibrationMetric(prefix=CALIBRATED, **options)
    metric.calibrator_name = calibrator.name
    return metric


def _test(runner: Runner, name: str, folder: str) -> Tested:
    """Test on one set, and sort what was measured."""
    metrics = _by_last_name(runner.test())
    before = f'{CALIBRATED}/'
    calibrated = {
        key.removeprefix(before): metrics.pop(key)
        for key in [*metrics]
        if key.startswith(before)
    }
    own = [
        metric
        for metric in runner.test_loop.evaluator.metrics
        if isinstance(metric, CalibrationMetric)
    ]
    no_objects = bool(own) and own[0].has_foreground is False
    if calibrated and own[-1].result is not None and _TWO_CLASSES in metrics:
        calibrated[_TWO_CLASSES] = 100 * mean_iou(own[-1].result.images)
    if no_objects:
        remedy = 'right for images without an object'
        report_findings([no_foreground(name, remedy)])
        for row in (metrics, calibrated):
            if _TWO_CLASSES in row:
                row[_TWO_CLASSES] = math.nan

    return Tested(
        folder,
        metrics,
        calibrated,
        no_objects,
        result=own[0].result if own else None,
        calibrated_result=own[-1].result if calibrated else None,
        shown=own[0].shown if own else {},
    )


def _by_last_name(metrics: dict[str, Any]) -> dict[str, float]:
    """Metrics by their last name, or by the whole name if that is taken."""
    named: dict[str, float] = {}
    for key, value in metrics.items():
        if not isinstance(value, (int, float)) and not hasattr(value, 'item'):
            continue
        name = key.rsplit('/', 1)[-1]
        name = key if name in named or key.startswith(CALIBRATED) else name
        percent = name in ('mIoU', 'aAcc', 'mAcc')
        named[f'{name} %' if percent else name] = float(value)
    return named


def _save(path: str, results: dict[str, Tested], overwrite: bool) -> None:
    plain = {
        name: {
            **tested.metrics,
            **{f'calibrated_{key}': v for key, v in tested.calibrated.items()},
        }
        for name, tested in results.items()
    }
    text = strict_json({'format': FORMAT, **plain}, indent=1)
    write_output(path, text + '\n', overwrite)


def summary_table(results: dict[str, Tested], evals: Sequence[str] | None) -> str:
    """Lay out the metrics of all sets; the mean leaves out sets without objects."""
    columns = [c for e in (evals or EVALUATIONS) for c in EVALUATIONS[e][1]]
    measured = {key for tested in results.values() for key in tested.metrics}
    columns = [c for c in columns if c in measured] or sorted(measured)
    rows = {}
    apart = []
    for name, tested in results.items():
        row = f'{name} (no object)' if tested.no_foreground else name
        rows[row] = tested.metrics
        apart += [row] if tested.no_foreground else []
        if tested.calibrated:
            rows[f'{row}, calibrated'] = tested.calibrated
            apart.append(f'{row}, calibrated')
    return format_table(with_mean(rows, apart), columns)


def in_words(results: dict[str, Tested], resamples: int = 1000) -> list[str]:
    """Say of each set what the calibrator changed beyond chance."""
    found = []
    for name, tested in results.items():
        if tested.result is None or tested.calibrated_result is None:
            continue
        raw = replace(tested.result, model='without', dataset=name)
        calibrated = replace(
            tested.calibrated_result, model='The calibrator', dataset=name
        )
        sentence = in_a_sentence(compare([raw], [calibrated], resamples))
        found.append(f'{name}: {sentence}' if len(results) > 1 else sentence)
    return found


def draw_predictions(
    cfg: Config, show: bool, show_dir: str | None, wait_time: float
) -> None:
    """Turn on MMSegmentation's visualization hook."""
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise ValueError(
            '--show and --show-dir need '
            "default_hooks.visualization=dict(type='SegVisualizationHook')"
        )
    hook.update(draw=True, show=show, wait_time=wait_time)
    if show_dir:
        cfg.visualizer['save_dir'] = show_dir


def measures_calibration(cfg: Config, evals: Sequence[str] | None) -> bool:
    """Whether the evaluation includes a ``CalibrationMetric``."""
    return 'ece' in evals if evals else _calibration_of(cfg) is not None
