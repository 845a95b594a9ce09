"""Evaluating one model on one or several test sets."""

import copy
import json
import math
import os.path as osp
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import DATASETS

from ...core.calibrators import Calibrator
from ...files.atomic_write import atomic_write
from ...files.sod_measures import SOD_COLUMNS
from ...report.text_table import format_table, with_mean
from .checks.data import no_foreground
from .checks.findings import Finding, report_findings
from .checks.run import check_run
from .config import check_checkpoint
from .config_parts import is_type, metrics_of
from .hooks import ProbMapHook
from .metrics import CalibrationMetric
from .result_folders import check_folders, folder_of_set, results_folder
from .runs import build_runner, name_run
from .safe_loading import safe_loading
from .weights import watch_weights

__all__ = [
    'EVALUATIONS',
    'TestSet',
    'draw_predictions',
    'evaluate',
    'measures_calibration',
    'summary_table',
    'test_sets',
]

# The choices of `--eval`: the metric, and the columns that it adds to the table.
EVALUATIONS = {
    'ece': (
        dict(type='CalibrationMetric'),
        ('ece', 'oe', 'ue', 'ece_band', 'acc', 'conf', 'nll', 'brier'),
    ),
    'sod': (
        dict(type='SODMetric'),
        SOD_COLUMNS,
    ),
    'iou': (dict(type='IoUMetric', iou_metrics=['mIoU']), ('mIoU %',)),
}
_ONE_CLASS_ONLY = ('mIoU %',)
# Prefix of the metrics of calibrated probabilities.
CALIBRATED = 'calibrated'


@dataclass
class TestSet:
    """A named test set."""

    __test__ = False  # tells pytest that this is not a test case

    name: str
    dataset: dict
    ood: bool = False


def test_sets(cfg: Config, names: Sequence[str] | None = None) -> list[TestSet]:
    """List the test sets of a config: the main one, ``test_sets`` and ``ood_sets``."""
    if cfg.get('test_dataloader') is None:
        raise ValueError('the config has no test_dataloader')
    main = cfg.test_dataloader.dataset
    name = main.get('layout') or main.get('split')
    found = [TestSet(name if _is_folder_name(name) else 'test', main)]
    for key, ood in (('test_sets', False), ('ood_sets', True)):
        named = cfg.get(key) or {}
        if not (
            isinstance(named, dict) and all(isinstance(d, dict) for d in named.values())
        ):
            raise ValueError(
                f'{key} must be a dict of data sets by name, not {named!r}'
            )
        for name in named:
            if not _is_folder_name(name):
                raise ValueError(
                    f'{key}: {name!r} cannot be the name of a folder, where the '
                    'results of this set go: name it without "/"'
                )
        found += [TestSet(name, dataset, ood) for name, dataset in named.items()]
    known = [s.name for s in found]
    if len(set(known)) < len(known):
        raise ValueError(f'two test sets have the same name: {known}')
    if names:
        unknown = [n for n in names if n not in known]
        if unknown:
            raise ValueError(f'no test set {unknown}, the config has {known}')
        found = [s for s in found if s.name in names]
    _check_files(cfg, found)
    return found


test_sets.__test__ = False


def _is_folder_name(name: Any) -> bool:
    """Whether a name stays inside of the folder of all sets."""
    return (
        isinstance(name, str)
        and name == osp.basename(name)
        and name.isprintable()
        and name not in ('', '.', '..')
    )


def _check_files(cfg: Config, sets: list[TestSet]) -> None:
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    missing = []
    for test_set in sets:
        try:
            DATASETS.build(copy.deepcopy(test_set.dataset))
        except (ValueError, FileNotFoundError) as error:
            missing.append(f'{test_set.name}: {error}')
    if missing:
        failed = [m.split(': ', 1)[0] for m in missing]
        rest = [s.name for s in sets if s.name not in failed]
        others = ' '.join(rest)
        hint = f'\nto test the others: mmaslp test --sets {others}' if rest else ''
        raise ValueError('\n'.join(missing) + hint)


def evaluate(
    cfg: Config,
    sets: Sequence[TestSet],
    *,
    evals: Sequence[str] | None = None,
    out: str | None = None,
    out_prob: str | None = None,
    prob_bits: int = 16,
    tta: bool = False,
    keep_worst: int = 0,
    calibrator: Calibrator | None = None,
    trust_checkpoint: bool = False,
) -> dict[str, dict[str, Any]]:
    """Test a model on several sets, one run each.

    Files of a set go to ``{results_folder(cfg, tta)}/{name}``, the metrics of all of
    them to ``results.json`` beside these folders.

    Args:
        cfg (Config): Config with ``load_from``, ``work_dir`` and ``launcher`` set.
        sets (Sequence[TestSet]): What to test on.
        evals (Sequence[str], optional): Of :data:`EVALUATIONS`. Defaults to None: the
            ``test_evaluator`` of the config as it is.
        out (str, optional): Folder to which the metrics write instead, with their
            predictions. Defaults to None.
        out_prob (str, optional): Folder for probability maps. Defaults to None.
        prob_bits (int): Bits of these. Defaults to 16.
        tta (bool): Average over the views of ``cfg.tta_pipeline``. Defaults to False.
        keep_worst (int): How many images of each kind to keep for a report, see
            ``CalibrationMetric``. Defaults to 0.
        calibrator (Calibrator, optional): Also measure calibrated probabilities, and
            write calibrated maps. Defaults to None.
        trust_checkpoint (bool): Accept a checkpoint whose pickle can run code. Defaults
            to False.

    Returns:
        dict[str, dict]: Per set: ``metrics`` ({name: float}; MMSegmentation's IoUMetric
        gives percentages; undefined ones are nan), ``calibrated`` (the same of
        calibrated probabilities, empty without a calibrator), ``ood``, ``folder``, and
        from a ``CalibrationMetric`` ``result`` and ``shown`` (main process only).

    Raises:
        FileNotFoundError: The checkpoint does not exist.
        ValueError: It is damaged, asks for code or does not fit the model, config or
            masks do not serve, nothing is measured, or a folder of outputs holds images
            or masks of the data.
    """
    if cfg.get('load_from'):
        check_checkpoint(cfg.load_from, trust_checkpoint)
    datasets = {each.name: each.dataset for each in sets}
    check_folders(cfg, datasets, {'--out': out, '--out-prob': out_prob})
    with safe_loading(trust_checkpoint):
        return _evaluate(
            cfg, sets, evals, out, out_prob, prob_bits, tta, keep_worst, calibrator
        )


def _evaluate(
    cfg: Config,
    sets: Sequence[TestSet],
    evals: Sequence[str] | None,
    out: str | None,
    out_prob: str | None,
    prob_bits: int,
    tta: bool,
    keep_worst: int,
    calibrator: Calibrator | None,
) -> dict[str, dict[str, Any]]:
    results = {}
    base = results_folder(cfg, tta)
    for test_set in sets:
        several = len(sets) > 1
        folder = folder_of_set(out, test_set.name, several) or osp.join(
            base, test_set.name
        )
        run = _config_of_run(cfg, test_set, several, tta)
        run.test_evaluator = _evaluators(
            cfg, evals, folder, out is not None, keep_worst
        )
        runner = build_runner(run)
        if calibrator is not None:
            runner.test_loop.evaluator.metrics += _calibrated(run, calibrator, folder)
        watch_weights(runner, cfg.get('load_from'), strict=True)
        report_findings(check_run(runner, ('test',)))
        if out_prob is not None:
            maps = folder_of_set(out_prob, test_set.name, several)
            measure = [m for m in run.test_evaluator if is_type(m, 'CalibrationMetric')]
            scores = measure[0].get('scores', 'auto') if measure else 'auto'
            runner.register_hook(ProbMapHook(maps, prob_bits, scores, calibrator))
        found = runner.test()
        metrics, calibrated = _by_last_name(found), {}
        for key in [key for key in metrics if key.startswith(f'{CALIBRATED}/')]:
            calibrated[key.removeprefix(f'{CALIBRATED}/')] = metrics.pop(key)
        if test_set.ood:
            metrics.update({k: math.nan for k in _ONE_CLASS_ONLY if k in metrics})
        results[test_set.name] = entry = dict(
            metrics=metrics,
            calibrated=calibrated,
            ood=test_set.ood,
            folder=folder,
        )
        if not test_set.ood:
            report_findings(_without_foreground(test_set.name, runner))
        for metric in runner.test_loop.evaluator.metrics:
            if isinstance(metric, CalibrationMetric) and 'result' not in entry:
                entry.update(result=metric.result, shown=metric.shown)
    if is_main_process():
        _save(osp.join(base, 'results.json'), results)
    return results


def _calibrated(run: Config, calibrator: Calibrator, folder: str) -> list:
    """A second CalibrationMetric, of calibrated probabilities."""
    found = [m for m in run.test_evaluator if is_type(m, 'CalibrationMetric')]
    if not found:
        raise ValueError('a calibrator needs the metrics of calibration: --eval ece')
    options = {k: v for k, v in found[0].items() if k not in ('type', 'prefix')}
    options.update(output_dir=folder, keep_worst=0)
    metric = CalibrationMetric(prefix=CALIBRATED, calibrator=calibrator, **options)
    return [metric]


def _without_foreground(name: str, runner: Runner) -> Iterator[Finding]:
    """Look for a set without objects that is not among the ``ood_sets``."""
    metrics = runner.test_loop.evaluator.metrics
    if any(
        isinstance(m, CalibrationMetric) and m.has_foreground is False for m in metrics
    ):
        yield no_foreground(name, 'config: name this set in ood_sets')


def summary_table(results: dict[str, dict], evals: Sequence[str] | None) -> str:
    """Lay out the metrics of all sets; the mean leaves out sets without objects."""
    columns = [c for e in (evals or EVALUATIONS) for c in EVALUATIONS[e][1]]
    measured = {k for entry in results.values() for k in entry['metrics']}
    columns = [c for c in columns if c in measured] or sorted(measured)
    names = {n: f'{n} (no object)' if e['ood'] else n for n, e in results.items()}
    rows = {}
    for name, entry in results.items():
        rows[names[name]] = entry['metrics']
        if entry['calibrated']:
            rows[f'{names[name]}, calibrated'] = entry['calibrated']
    apart = [names[n] for n, e in results.items() if e['ood']]
    apart += [row for row in rows if row.endswith(', calibrated')]
    return format_table(with_mean(rows, apart), columns)


def _config_of_run(cfg: Config, test_set: TestSet, several: bool, tta: bool) -> Config:
    run = copy.deepcopy(cfg)
    name_run(run, test_set.name)
    if run.get('visualizer') is not None and run.visualizer.get('save_dir'):
        show_dir = folder_of_set(run.visualizer.save_dir, test_set.name, several)
        run.visualizer.save_dir = show_dir
    run.test_dataloader.dataset = test_set.dataset
    if tta:
        if cfg.get('tta_pipeline') is None or cfg.get('tta_model') is None:
            raise ValueError('--tta needs tta_pipeline and tta_model in the config')
        run.test_dataloader.dataset.pipeline = run.tta_pipeline
        run.tta_model.module = run.model
        run.model = run.tta_model
    return run


def _evaluators(
    cfg: Config, evals: Sequence[str] | None, folder: str, keep: bool, keep_worst: int
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
        if keep:
            metric.update(output_dir=folder, keep_results=True)
        if is_type(metric, 'CalibrationMetric'):
            metric.setdefault('output_dir', folder)
            metric.setdefault('keep_worst', keep_worst)
    return metrics


def draw_predictions(
    cfg: Config,
    *,
    show: bool = False,
    show_dir: str | None = None,
    wait_time: float = 2.0,
) -> None:
    """Turn on MMSegmentation's visualization hook."""
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise ValueError(
            '--show and --show-dir need '
            "default_hooks.visualization=dict(type='SegVisualizationHook')"
        )
    hook['draw'] = True
    if show:
        hook['show'] = True
        hook['wait_time'] = wait_time
    if show_dir:
        cfg.visualizer['save_dir'] = show_dir


def measures_calibration(cfg: Config, evals: Sequence[str] | None) -> bool:
    """Whether the evaluation includes a ``CalibrationMetric``."""
    if evals:
        return 'ece' in evals
    metrics = metrics_of(cfg, 'test_evaluator')
    return any(is_type(metric, 'CalibrationMetric') for metric in metrics)


def _by_last_name(metrics: dict[str, Any]) -> dict[str, float]:
    """Metrics by their last name, or by the whole name if that is taken."""
    named: dict[str, float] = {}
    for key, value in metrics.items():
        if not _is_number(value):
            continue
        name = key.rsplit('/', 1)[-1]
        name = key if name in named or key.startswith(CALIBRATED) else name
        percent = name in ('mIoU', 'aAcc', 'mAcc')
        named[f'{name} %' if percent else name] = float(value)
    return named


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) or hasattr(value, 'item')


def _save(path: str, results: dict[str, dict]) -> None:
    plain = {
        name: {
            key: None if math.isnan(value) else value
            for part, before in (('metrics', ''), ('calibrated', 'calibrated_'))
            for key, value in ((before + k, v) for k, v in entry[part].items())
        }
        for name, entry in results.items()
    }
    atomic_write(path, json.dumps(plain, indent=1, allow_nan=False) + '\n')
