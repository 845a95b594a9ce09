"""Evaluating one model on one or several test sets."""

import copy
import os.path as osp
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import nan
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.dist import is_main_process
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from ...calibration.calibrator import Calibrator, loaded
from ...common.inputs import sha256_of
from ...common.outputs import check_outputs, write_output
from ...evaluation.comparison import Measured
from ...evaluation.result import CALIBRATED, Result, save_result, strict_json
from ...evaluation.sod import SOD_COLUMNS
from ...evaluation.verdict import overall_verdict
from ...files.names import warn_of_others
from ...metrics.catalogue import SHOWN
from ...report.page import page_outputs
from ...report.tables import format_table
from .calibration import calibrator_of_checkpoint
from .checkpoint import WeightsHook, check_checkpoint, safe_loading, unwrap
from .checks.findings import report_findings
from .checks.run import check_run
from .config import build_runner, calibration_of, metrics_of, name_run, type_of
from .data import check_data, data_files, inputs_of, leaf_sets
from .engine.scores_hooks import ProbMapHook, ReviewHook
from .evaluation.metrics import CalibrationMetric

# The choices of `--eval`: the metric, and the columns that it adds to the table.
EVALUATIONS: dict[str, tuple[dict[str, Any], Sequence[str]]] = {
    'ece': (dict(type='CalibrationMetric'), SHOWN),
    'sod': (dict(type='SODMetric'), SOD_COLUMNS),
    'iou': (dict(type='IoUMetric', iou_metrics=['mIoU']), ('mIoU %',)),
}
MEAN_IOU = 'mIoU %'
# Holds the raw and the calibrated result of a set.
FILE = 'calibration_test.json'
# Prefix of the metrics of calibrated probabilities.
PREFIX = 'calibrated'


@dataclass(frozen=True)
class EvaluationOptions:
    """How a network is tested; the options of ``mmaslp test``.

    Attributes:
        evals (Sequence[str]): Of :data:`EVALUATIONS`; empty: those of the config.
        model (str): Name of the network in results.
        out (str | None): Folder that the metrics write predictions to.
        out_prob (str | None): Folder for probability maps, of 16 bits.
        tta (bool): Whether to average over the views of ``tta_pipeline``.
        calibrator (Calibrator | None): Measured beside the network as it is.
        review (str | None): File that says which masks to trust.
        report (str | None): Page that is written afterwards.
        inputs (Sequence[str | None]): Files that no output may replace, beside those
            of the config.
        settings (dict): Noted in the results.
        groups (Callable | None): Numbers images by the group of each, such as
            a patient, from their names; intervals and comparisons are over groups.
        trust_checkpoint (bool): Whether a checkpoint may run code.
        overwrite (bool): Whether files that are there may be replaced.
    """

    evals: Sequence[str] = ()
    model: str = 'model'
    out: str | None = None
    out_prob: str | None = None
    tta: bool = False
    calibrator: Calibrator | None = None
    review: str | None = None
    report: str | None = None
    inputs: Sequence[str | None] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    groups: Callable[[Sequence[str]], Sequence[int]] | None = None
    trust_checkpoint: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class Tested:
    """What a test of a network on one set gave.

    Attributes:
        folder (str): Where its files lie.
        metrics (dict[str, float]): By last name; nan where undefined. The IoUMetric of
            MMSegmentation gives percentages.
        calibrated (dict[str, float]): The same of calibrated probabilities; empty
            without a calibrator.
        results (list[Result]): Of a CalibrationMetric on the main process: that of the
            network as it is, then with its calibrator.
        review (str | None): File that says which masks to trust.
    """

    folder: str
    metrics: dict[str, float]
    calibrated: dict[str, float] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    review: str | None = None


def sets_of_test(cfg: Config, names: Sequence[str] | None = None) -> dict[str, dict]:
    """Data sets of a test by name: the main one of the config, then ``test_sets``."""
    if cfg.get('test_dataloader') is None:
        raise ValueError(
            'the config has no test_dataloader, so there is nothing to test: add one'
        )
    main = cfg.test_dataloader.dataset
    name = main.get('layout') or main.get('split')
    sets = {name if _is_folder_name(name) else 'test': main}

    named = cfg.get('test_sets') or {}
    if not isinstance(named, dict) or not all(
        _is_folder_name(name) and isinstance(dataset, dict) and name not in sets
        for name, dataset in named.items()
    ):
        raise ValueError(
            'test_sets must be a dict of data sets, each with a name of its own, that '
            f'of a folder where its results go, not {[*named]}'
        )
    pipeline = {'pipeline': main.pipeline} if 'pipeline' in main else {}
    sets |= {
        name: dataset
        if {'dataset', 'datasets'} & dataset.keys()
        else ConfigDict({**pipeline, **dataset})
        for name, dataset in named.items()
    }

    if unknown := {*(names or ())} - {*sets}:
        raise ValueError(
            f'--sets: {sorted(unknown)} are not test sets of the config, which has '
            f'{[*sets]} (--data leaves its test_sets aside)'
        )
    return {name: sets[name] for name in sets if not names or name in names}


def _is_folder_name(name: Any) -> bool:
    """Whether a name stays inside of the folder of all sets."""
    return (
        isinstance(name, str)
        and name != 'format'
        and name == osp.basename(name)
        and name.isprintable()
        and name not in ('', '.', '..')
    )


def calibrator_of_test(
    cfg: Config, file: str | None, checkpoint: str, trust_checkpoint: bool = False
) -> Calibrator | None:
    """The calibrator of a file, else of the config's metric, else of the checkpoint."""
    named = file or (calibration_of(cfg, 'test_evaluator') or {}).get('calibrator')
    if named is not None:
        return loaded('calibrator', named)
    return calibrator_of_checkpoint(checkpoint, trust_checkpoint)


def results_folder(cfg: Config, tta: bool = False) -> str:
    """Name the folder of the results: ``{work_dir}/eval``, or ``eval_tta`` of views."""
    return osp.join(cfg.work_dir, 'eval_tta' if tta else 'eval')


def evaluate(
    cfg: Config,
    sets: Mapping[str, dict],
    options: EvaluationOptions = EvaluationOptions(),
) -> dict[str, Tested]:
    """Test a model on several sets, one run each.

    ``cfg`` has ``load_from``, ``work_dir`` and ``launcher`` set, ``sets`` come from
    :func:`sets_of_test`. Files of a set go to ``{results_folder(cfg, tta)}/{name}``,
    the metrics of all to ``results.json`` beside these folders. With a calibrator
    calibrated probabilities are measured too, if calibration is, and maps are
    calibrated.

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
        check_checkpoint(cfg.load_from, options.trust_checkpoint)
    check_data(sets.values())
    results_of_all = results_folder(cfg, options.tta)
    summary = osp.join(results_of_all, 'results.json')
    given = {
        name: _of_set(options, name) if len(sets) > 1 else options for name in sets
    }
    folders = {name: given[name].out or osp.join(results_of_all, name) for name in sets}
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    built = {
        name: DATASETS.build(copy.deepcopy(dataset)) for name, dataset in sets.items()
    }
    _check_outputs(cfg, summary, given, folders, built, options)
    with safe_loading(options.trust_checkpoint):
        results = {
            name: _test(cfg, name, dataset, folders[name], given[name])
            for name, dataset in sets.items()
        }

    if is_main_process():
        rows = {
            name: tested.metrics
            | {f'calibrated_{key}': value for key, value in tested.calibrated.items()}
            for name, tested in results.items()
        }
        write_output(
            summary,
            strict_json({'format': 'mmaslp test 1', **rows}, indent=1) + '\n',
            options.overwrite,
        )
    return results


def _of_set(options: EvaluationOptions, name: str) -> EvaluationOptions:
    """Options of one set of several, with folders and a review of its own."""
    folders = {'out': options.out, 'out_prob': options.out_prob}
    own: dict[str, Any] = {
        key: osp.join(base, name) for key, base in folders.items() if base
    }
    if options.review:
        own['review'] = f'_{name}'.join(osp.splitext(options.review))
    return replace(options, **own)


def _check_outputs(
    cfg: Config,
    summary: str,
    given: Mapping[str, EvaluationOptions],
    folders: Mapping[str, str],
    datasets: Mapping[str, Any],
    options: EvaluationOptions,
) -> None:
    """Refuse outputs that would cost the user a file."""
    stems = {
        name: {osp.splitext(osp.basename(path))[0] for path in data_files(dataset)}
        for name, dataset in datasets.items()
    }

    def maps_in(folder: str | None, name: str) -> list[str]:
        return [osp.join(folder, f'{s}.png') for s in stems[name]] if folder else []

    painted = (cfg.get('visualizer') or {}).get('save_dir')
    outputs: dict[str, Any] = {
        '--out': [f for n, own in given.items() for f in maps_in(own.out, n)],
        '--out-prob': [f for n, own in given.items() for f in maps_in(own.out_prob, n)],
        '--review': [own.review for own in given.values() if own.review],
        '--show-dir': painted
        and [
            osp.join(painted, 'vis_data', '_'),
            *Path(painted).glob('**/vis_data/vis_image/*'),
        ],
        '--work-dir': [summary, *(osp.join(f, FILE) for f in folders.values())],
    }
    outputs |= page_outputs(options.report)
    check_outputs(
        outputs,
        [*options.inputs, *inputs_of(cfg, datasets.values())],
        options.overwrite,
    )
    for name, own in given.items():
        if own.out_prob and options.overwrite and is_main_process():
            warn_of_others(Path(own.out_prob), map(Path, maps_in(own.out_prob, name)))


def _config_of_run(
    cfg: Config, name: str, dataset: dict, folder: str, options: EvaluationOptions
) -> Config:
    """The config of the test of one set, with the metrics and their folder."""
    run = copy.deepcopy(cfg)
    name_run(run, name)
    if run.get('visualizer') is not None and run.visualizer.get('save_dir'):
        run.visualizer.save_dir = osp.join(run.visualizer.save_dir, name)
    run.test_dataloader.dataset = dataset
    if options.tta:
        if cfg.get('tta_pipeline') is None or cfg.get('tta_model') is None:
            raise ValueError(
                '--tta needs tta_pipeline and tta_model in the config: add them, or '
                'leave --tta out'
            )
        for leaf in leaf_sets(run.test_dataloader.dataset):
            leaf.pipeline = run.tta_pipeline
        run.tta_model.module = run.model
        run.model = run.tta_model

    run.test_evaluator = _evaluators(cfg, options.evals)
    for metric in run.test_evaluator:
        if options.out is not None:
            metric.update(output_dir=options.out, keep_results=True)
        if type_of(metric) == 'CalibrationMetric':
            metric.update(output_dir=folder, overwrite=options.overwrite)
    # The row of the first one is raw; another one is added for a calibrated row.
    (calibration_of(run, 'test_evaluator') or {}).pop('calibrator', None)
    return run


def _evaluators(cfg: Config, evals: Sequence[str]) -> list[dict]:
    given = copy.deepcopy(metrics_of(cfg, 'test_evaluator'))
    metrics = [] if evals else given
    for wanted in (EVALUATIONS[name][0] for name in dict.fromkeys(evals)):
        same = [metric for metric in given if type_of(metric) == wanted['type']]
        metrics += same or [copy.deepcopy(wanted)]
    if not metrics:
        raise ValueError(
            'nothing to measure: give --eval, or a test_evaluator in the config'
        )
    return metrics


def _test(
    cfg: Config, name: str, dataset: dict, folder: str, options: EvaluationOptions
) -> Tested:
    """Test on one set, and sort what was measured."""
    run = _config_of_run(cfg, name, dataset, folder, options)
    runner = build_runner(run)
    calibration_metrics = _calibration_metrics(runner, run, options)
    if options.groups is not None:
        # Before the network runs: a pattern that does not fit is told at once.
        options.groups(_image_names(runner))
        for metric in calibration_metrics:
            metric.groups = options.groups
    runner.register_hook(WeightsHook())
    report_findings(check_run(runner, ('test',)))
    measures_iou = any(
        type_of(metric) == 'IoUMetric' for metric in metrics_of(run, 'test_evaluator')
    )
    if calibration_metrics and measures_iou:
        check_threshold(runner.model)
    _register_outputs(runner, run, options)

    metrics = _by_last_name(runner.test())
    if options.calibrator is not None:
        options.calibrator.check_network(runner.model)

    results = [
        metric.result for metric in calibration_metrics if metric.result is not None
    ]
    calibrated = _calibrated_row(results, metrics, options.calibrator)
    for row in (metrics, calibrated):
        if MEAN_IOU in row and any(result.no_foreground for result in results):
            row[MEAN_IOU] = nan

    completed = [
        _complete(result, name, row, run, options)
        for result, row in zip(results, (metrics, calibrated))
    ]
    if completed:
        # The metric has written the first one.
        save_result(osp.join(folder, FILE), completed, overwrite=True)
    return Tested(folder, metrics, calibrated, completed, options.review)


def _image_names(runner: Any) -> list[str]:
    """Names of all images of a test."""
    dataset = runner.test_loop.dataloader.dataset
    names = []
    for number in range(len(dataset)):
        names.append(str(dataset.get_data_info(number).get('img_path', number)))
    return names


def _calibration_metrics(
    runner: Any, run: Config, options: EvaluationOptions
) -> list[CalibrationMetric]:
    """The metric of the network, and one of its calibrated maps, which is added."""
    evaluator = runner.test_loop.evaluator
    # One with another prefix measures otherwise, and has its own file.
    metrics = [m for m in evaluator.metrics if isinstance(m, CalibrationMetric)][:1]
    settings = calibration_of(run, 'test_evaluator')
    if settings is None or options.calibrator is None:
        return metrics

    arguments = {
        key: value
        for key, value in settings.items()
        if key not in ('type', 'prefix', '_scope_')  # the last of mmaslp::
    }
    calibrated = CalibrationMetric(
        **arguments, prefix=PREFIX, calibrator=options.calibrator
    )
    evaluator.metrics.append(calibrated)
    return [*metrics, calibrated]


def _register_outputs(runner: Any, run: Config, options: EvaluationOptions) -> None:
    """Let hooks write maps and what to expect of masks, where that is asked for."""
    settings = calibration_of(run, 'test_evaluator') or {}
    shared: dict[str, Any] = dict(
        scores=settings.get('scores', 'auto'),
        calibrator=options.calibrator,
        overwrite=options.overwrite,
    )
    if options.out_prob is not None:
        runner.register_hook(ProbMapHook(options.out_prob, **shared))
    if options.review is not None:
        runner.register_hook(ReviewHook(options.review, **shared))


def _calibrated_row(
    results: Sequence[Result],
    metrics: Mapping[str, float],
    calibrator: Calibrator | None,
) -> dict[str, float]:
    """Metrics of calibrated probabilities; empty where they were not measured."""
    if calibrator is None or len(results) < 2:
        return {}

    row = dict(results[-1].metrics)
    if row and MEAN_IOU in metrics:
        # One of confidences keeps masks.
        keeps_masks = calibrator.target == 'confidence'
        row[MEAN_IOU] = metrics[MEAN_IOU] if keeps_masks else nan
    return row


def check_threshold(model: Any) -> None:
    """Refuse masks that are cut elsewhere than where calibration is measured.

    Raises:
        ValueError: The head has one channel and another threshold than 0.5.
    """
    head = getattr(unwrap(model), 'decode_head', None)
    if (threshold := getattr(head, 'threshold', None)) not in (None, 0.5):
        raise ValueError(
            f'model.decode_head cuts masks at {threshold} (0.3 is what MMSegmentation '
            'takes where a config names no threshold), but accuracy, Dice and every '
            'calibrator cut at 0.5, so that mIoU would be of other masks: add '
            '`model = dict(decode_head=dict(threshold=0.5))` to the config, or '
            '--cfg-options model.decode_head.threshold=0.5'
        )


def _complete(
    result: Result,
    name: str,
    row: Mapping[str, float],
    run: Config,
    options: EvaluationOptions,
) -> Result:
    """Name model and set of a result, and add what other metrics measured."""
    model = options.model
    if result.is_calibrated:
        model += CALIBRATED
    known_already = {*result.metrics}
    if result.settings['mode'] == 'top_label':
        known_already.add('aAcc %')  # the accuracy
    measures = {key: row[key] for key in row if key not in known_already}
    files = {'checkpoint': run.get('load_from'), 'config': run.filename}

    return replace(
        result,
        model=model,
        dataset=name,
        measures=measures,
        settings={**result.settings, **options.settings},
        files=[
            {'role': role, 'name': osp.basename(path), 'sha256': sha256_of(path)}
            for role, path in files.items()
            if path and osp.isfile(path)
        ],
    )


def _by_last_name(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Metrics of raw probabilities by last name, or by the whole if that is taken."""
    row: dict[str, float] = {}
    for key, value in metrics.items():
        prefix, _, name = key.rpartition('/')
        number = isinstance(value, (int, float)) or hasattr(value, 'item')
        # What IoUMetric gives in per cent, rounded to two digits.
        if number and name in ('mIoU', 'aAcc', 'mAcc'):
            row[f'{name} %'] = round(float(value), 2)  # some of them are float32
        elif number and prefix != PREFIX:
            row[key if name in row else name] = float(value)
    return row


def summary_table(results: Mapping[str, Tested], evals: Sequence[str] = ()) -> str:
    """Lay out the metrics of all sets."""
    columns = [key for name in evals or EVALUATIONS for key in EVALUATIONS[name][1]]
    measured = {
        key
        for tested in results.values()
        for key in tested.metrics
        if not any(key in result.undirected for result in tested.results)
    }
    columns = [key for key in columns if key in measured] or sorted(measured)

    rows = {}
    for name, tested in results.items():
        empty = any(result.no_foreground for result in tested.results)
        title = f'{name} (no object)' if empty else name
        rows[title] = tested.metrics
        if tested.calibrated:
            rows[title + CALIBRATED] = tested.calibrated
    return format_table(rows, columns)


def verdicts(results: Mapping[str, Tested]) -> list[str]:
    """Say of each set what the calibrator changed, or how sure and right it is."""
    sets = [tested.results for tested in results.values() if tested.results]
    names = [f'{rows[0].dataset}: ' if len(sets) > 1 else '' for rows in sets]
    return [
        name + overall_verdict([Measured(row) for row in rows])
        for name, rows in zip(names, sets)
    ]


def draw_predictions(cfg: Config, folder: str) -> None:
    """Let MMSegmentation's visualization hook paint into a folder."""
    if (hook := cfg.get('default_hooks', {}).get('visualization')) is None:
        raise ValueError(
            '--show-dir needs '
            "default_hooks.visualization=dict(type='SegVisualizationHook') in the "
            'config'
        )
    if cfg.get('visualizer') is None:
        raise ValueError(
            "--show-dir needs visualizer=dict(type='SegLocalVisualizer', "
            "vis_backends=[dict(type='LocalVisBackend')]) in the config"
        )
    hook.update(draw=True)
    cfg.visualizer['save_dir'] = folder


def measures_calibration(cfg: Config, evals: Sequence[str] = ()) -> bool:
    """Whether the evaluation includes a ``CalibrationMetric``."""
    return (
        'ece' in evals if evals else calibration_of(cfg, 'test_evaluator') is not None
    )
