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
from ...common.mistakes import about_config
from ...common.outputs import check_outputs, write_output
from ...evaluation.comparison import Measured
from ...evaluation.result import CALIBRATED, Result, save_result, strict_json
from ...evaluation.sod import SOD_COLUMNS
from ...evaluation.verdict import overall_verdict
from ...files.names import warn_of_others
from ...files.nnunet_maps import IGNORED
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

MEAN_IOU = 'mIoU %'


@dataclass(frozen=True)
class Evaluation:
    """A choice of ``--eval``: its metric, and the columns that it adds to the table."""

    metric: dict[str, Any]
    columns: Sequence[str]


EVALUATIONS = {
    'ece': Evaluation(dict(type='CalibrationMetric'), SHOWN),
    'sod': Evaluation(dict(type='SODMetric'), SOD_COLUMNS),
    'iou': Evaluation(dict(type='IoUMetric', iou_metrics=['mIoU']), (MEAN_IOU,)),
}
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


@about_config()
def sets_of_test(cfg: Config, names: Sequence[str] | None = None) -> dict[str, dict]:
    """Data sets of a test by name: the main one of the config, then ``test_sets``."""
    if cfg.get('test_dataloader') is None:
        raise ValueError(
            'the config has no test_dataloader, so there is nothing to test: add one'
        )
    main = cfg.test_dataloader.dataset
    name = main.get('layout') or main.get('split')
    sets = {name if _is_folder_name(name) else 'test': main}

    more = cfg.get('test_sets') or {}
    if not _are_named_sets(more, sets):
        raise ValueError(
            'test_sets must be a dict of data sets, each with a name of its own, that '
            f'of a folder where its results go, not {list(more)}'
        )
    for name, dataset in more.items():
        sets[name] = _with_pipeline(dataset, main)

    if not names:
        return sets
    return _chosen(sets, names)


def _chosen(sets: Mapping[str, dict], names: Sequence[str]) -> dict[str, dict]:
    """The sets that are asked for, in the order of the config."""
    unknown = set(names) - sets.keys()
    if unknown:
        raise ValueError(
            f'`sets`: {sorted(unknown)} are not test sets of the config, which has '
            f'{list(sets)} (`data` leaves its test_sets aside)'
        )
    return {name: sets[name] for name in sets if name in names}


def _are_named_sets(more: Any, sets: Mapping[str, dict]) -> bool:
    """Whether ``test_sets`` are data sets whose names are free."""
    if not isinstance(more, dict):
        return False
    for name, dataset in more.items():
        if not _is_folder_name(name) or not isinstance(dataset, dict) or name in sets:
            return False
    return True


def _with_pipeline(dataset: dict, main: dict) -> dict:
    """Give a data set the pipeline of the main one, unless it has its own or wraps."""
    if 'dataset' in dataset or 'datasets' in dataset:
        return dataset

    completed = {}
    if 'pipeline' in main:
        completed['pipeline'] = main['pipeline']
    completed.update(dataset)
    return ConfigDict(completed)


def _is_folder_name(name: Any) -> bool:
    """Whether a name stays inside of the folder of all sets."""
    return (
        isinstance(name, str)
        and name != 'format'
        and name == osp.basename(name)
        and name.isprintable()
        and name not in ('', '.', '..')
    )


@about_config()
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
    if tta:
        return osp.join(cfg.work_dir, 'eval_tta')
    return osp.join(cfg.work_dir, 'eval')


@dataclass(frozen=True)
class _SetOfTest:
    """One set of a test: what it is, how it is tested, and where its files go."""

    name: str
    settings: dict
    dataset: Any
    options: EvaluationOptions
    folder: str

    @property
    def stems(self) -> set[str]:
        """Names of its images and masks, without a suffix."""
        return {
            osp.splitext(osp.basename(file))[0] for file in data_files(self.dataset)
        }

    def maps_in(self, folder: str | None) -> list[str]:
        """Maps of its images in a folder, none without a folder."""
        if not folder:
            return []
        return [osp.join(folder, f'{stem}.png') for stem in self.stems]


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
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    planned = _plan(sets, options, results_of_all)
    _check_outputs(cfg, summary, planned, options)
    if options.overwrite and is_main_process():
        for test_set in planned:
            folder = test_set.options.out_prob
            if folder:  # it may hold maps of other images
                warn_of_others(Path(folder), map(Path, test_set.maps_in(folder)))

    results = {}
    with safe_loading(options.trust_checkpoint):
        for test_set in planned:
            results[test_set.name] = _test(cfg, test_set)
    if is_main_process():
        _write_summary(summary, results, options.overwrite)
    return results


def _plan(
    sets: Mapping[str, dict], options: EvaluationOptions, results_of_all: str
) -> list[_SetOfTest]:
    """Build the data sets, and say how each is tested and where its files go."""
    planned = []
    for name, settings in sets.items():
        options_of_set = options
        if len(sets) > 1:
            options_of_set = _of_set(options, name)
        test_set = _SetOfTest(
            name=name,
            settings=settings,
            dataset=DATASETS.build(copy.deepcopy(settings)),
            options=options_of_set,
            folder=options_of_set.out or osp.join(results_of_all, name),
        )
        planned.append(test_set)
    return planned


def _write_summary(
    summary: str, results: Mapping[str, Tested], overwrite: bool
) -> None:
    """Write the metrics of all sets."""
    content: dict[str, Any] = {'format': 'mmaslp test 1'}
    for name, tested in results.items():
        row = dict(tested.metrics)
        for key, value in tested.calibrated.items():
            row[f'calibrated_{key}'] = value
        content[name] = row
    write_output(summary, strict_json(content, indent=1) + '\n', overwrite)


def _of_set(options: EvaluationOptions, name: str) -> EvaluationOptions:
    """Options of one set of several, with folders and a review of its own."""
    if options.out:
        options = replace(options, out=osp.join(options.out, name))
    if options.out_prob:
        options = replace(options, out_prob=osp.join(options.out_prob, name))
    if options.review:
        stem, suffix = osp.splitext(options.review)
        options = replace(options, review=f'{stem}_{name}{suffix}')
    return options


def _check_outputs(
    cfg: Config,
    summary: str,
    planned: Sequence[_SetOfTest],
    options: EvaluationOptions,
) -> None:
    """Refuse outputs that would cost the user a file."""
    outputs: dict[str, Any] = {
        '`out`': [],
        '`out_prob`': [],
        '`review`': [],
        '`show_dir`': _painted(cfg),
        '`work_dir`': [summary],
    }
    for test_set in planned:
        outputs['`out`'] += test_set.maps_in(test_set.options.out)
        outputs['`out_prob`'] += test_set.maps_in(test_set.options.out_prob)
        outputs['`work_dir`'].append(osp.join(test_set.folder, FILE))
        if test_set.options.review:
            outputs['`review`'].append(test_set.options.review)
    outputs |= page_outputs(options.report)

    inputs = list(options.inputs)
    inputs += inputs_of(cfg, [test_set.dataset for test_set in planned])
    check_outputs(outputs, inputs, options.overwrite)


def _painted(cfg: Config) -> list[Any]:
    """What MMSegmentation's visualizer writes into its folder."""
    folder = (cfg.get('visualizer') or {}).get('save_dir')
    if not folder:
        return []
    pictures = Path(folder).glob('**/vis_data/vis_image/*')
    return [osp.join(folder, 'vis_data', '_'), *pictures]


@about_config()
def _config_of_run(cfg: Config, test_set: _SetOfTest) -> Config:
    """The config of the test of one set, with the metrics and their folder."""
    options = test_set.options
    run = copy.deepcopy(cfg)
    name_run(run, test_set.name)
    if run.get('visualizer') is not None and run.visualizer.get('save_dir'):
        run.visualizer.save_dir = osp.join(run.visualizer.save_dir, test_set.name)
    run.test_dataloader.dataset = test_set.settings
    if options.tta:
        _test_views(run)

    run.test_evaluator = _evaluators(cfg, options.evals)
    for metric in run.test_evaluator:
        if options.out is not None:
            metric.update(output_dir=options.out, keep_results=True)
        if type_of(metric) == 'CalibrationMetric':
            metric.update(output_dir=test_set.folder, overwrite=options.overwrite)

    # The row of the first one is raw; another one is added for a calibrated row.
    of_network = calibration_of(run, 'test_evaluator')
    if of_network is not None:
        of_network.pop('calibrator', None)
    return run


def _test_views(run: Config) -> None:
    """Let a run test the mean of the views that its config has."""
    if run.get('tta_pipeline') is None or run.get('tta_model') is None:
        raise ValueError(
            '`tta` needs tta_pipeline and tta_model in the config: add them, or '
            'leave `tta` out'
        )
    for leaf in leaf_sets(run.test_dataloader.dataset):
        leaf.pipeline = run.tta_pipeline
    run.tta_model.module = run.model
    run.model = run.tta_model


def _evaluators(cfg: Config, evals: Sequence[str]) -> list[dict]:
    """The metrics that are asked for, as the config has them; else all of it."""
    configured = copy.deepcopy(metrics_of(cfg, 'test_evaluator'))
    metrics = configured
    if evals:
        metrics = []
        for name in dict.fromkeys(evals):
            default = EVALUATIONS[name].metric
            same = [m for m in configured if type_of(m) == default['type']]
            metrics += same or [copy.deepcopy(default)]
    if not metrics:
        raise ValueError(
            'nothing to measure: give `evals`, or a test_evaluator in the config'
        )
    return metrics


def _test(cfg: Config, test_set: _SetOfTest) -> Tested:
    """Test on one set, and sort what was measured."""
    options = test_set.options
    run = _config_of_run(cfg, test_set)
    runner = build_runner(run)
    calibration_metrics = _calibration_metrics(runner, run, options)
    if options.groups is not None:
        _count_by_group(options.groups, runner, calibration_metrics)
    runner.register_hook(WeightsHook())
    report_findings(check_run(runner, ('test',)))
    measured = [type_of(metric) for metric in metrics_of(run, 'test_evaluator')]
    if calibration_metrics and 'IoUMetric' in measured:
        check_threshold(runner.model)
    _register_outputs(runner, run, options)

    metrics = _by_last_name(runner.test())
    if options.calibrator is not None:
        options.calibrator.check_network(runner.model)
    results = [m.result for m in calibration_metrics if m.result is not None]
    return _tested(test_set, run, metrics, results)


def _count_by_group(
    groups: Callable[[Sequence[str]], Sequence[int]],
    runner: Any,
    metrics: Sequence[CalibrationMetric],
) -> None:
    """Let metrics count over groups of images, such as those of a patient."""
    dataset = runner.test_loop.dataloader.dataset
    names = []
    for number in range(len(dataset)):
        names.append(str(dataset.get_data_info(number).get('img_path', number)))
    groups(names)  # before the network runs: a pattern that does not fit is told
    for metric in metrics:
        metric.groups = groups


def _tested(
    test_set: _SetOfTest,
    run: Config,
    metrics: dict[str, float],
    results: Sequence[Result],
) -> Tested:
    """Sort what was measured on one set, and save the results of calibration."""
    calibrated = _calibrated_row(results, metrics, test_set.options.calibrator)
    rows = (metrics, calibrated)
    if any(result.no_foreground for result in results):
        for row in rows:
            if MEAN_IOU in row:
                row[MEAN_IOU] = nan

    completed = []
    for result, row in zip(results, rows):
        completed.append(_complete(result, test_set, row, run))
    if completed:
        # The metric has written the first one.
        save_result(osp.join(test_set.folder, FILE), completed, overwrite=True)
    return Tested(
        folder=test_set.folder,
        metrics=metrics,
        calibrated=calibrated,
        results=completed,
        review=test_set.options.review,
    )


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

    arguments = dict(settings, prefix=PREFIX, calibrator=options.calibrator)
    for key in ('type', '_scope_'):  # the last of mmaslp::
        arguments.pop(key, None)
    calibrated = CalibrationMetric(**arguments)
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
        shared['ignore_index'] = settings.get('ignore_index', IGNORED)
        runner.register_hook(
            ReviewHook(options.review, groups=options.groups, **shared)
        )


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
        row[MEAN_IOU] = nan
        if calibrator.target == 'confidence':
            row[MEAN_IOU] = metrics[MEAN_IOU]
    return row


def check_threshold(model: Any) -> None:
    """Refuse masks that are cut elsewhere than where calibration is measured.

    Raises:
        ValueError: The head has one channel and another threshold than 0.5.
    """
    head = getattr(unwrap(model), 'decode_head', None)
    threshold = getattr(head, 'threshold', None)
    if threshold not in (None, 0.5):
        raise ValueError(
            f'model.decode_head cuts masks at {threshold} (0.3 is what MMSegmentation '
            'takes where a config names no threshold), but accuracy, Dice and every '
            'calibrator cut at 0.5, so that mIoU would be of other masks: add '
            '`model = dict(decode_head=dict(threshold=0.5))` to the config, or '
            '`cfg_options` model.decode_head.threshold=0.5'
        )


def _complete(
    result: Result, test_set: _SetOfTest, row: Mapping[str, float], run: Config
) -> Result:
    """Name model and set of a result, and add what other metrics measured."""
    measures = dict(row)
    for key in result.metrics:
        measures.pop(key, None)
    if result.settings['mode'] == 'top_label':
        measures.pop('aAcc %', None)  # the accuracy

    model = test_set.options.model
    if result.is_calibrated:
        model += CALIBRATED
    return replace(
        result,
        model=model,
        dataset=test_set.name,
        measures=measures,
        settings=dict(result.settings) | dict(test_set.options.settings),
        files=_files_of(run),
    )


def _files_of(run: Config) -> list[dict[str, Any]]:
    """The files that a network comes from, with their hashes."""
    files = []
    for role, path in (('checkpoint', run.get('load_from')), ('config', run.filename)):
        if path and osp.isfile(path):
            name = osp.basename(path)
            files.append(dict(role=role, name=name, sha256=sha256_of(path)))
    return files


def _by_last_name(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Metrics of raw probabilities by last name, or by the whole if that is taken."""
    row: dict[str, float] = {}
    for key, value in metrics.items():
        prefix, _, name = key.rpartition('/')
        if not isinstance(value, (int, float)) and not hasattr(value, 'item'):
            continue
        # What IoUMetric gives in per cent, rounded to two digits.
        if name in ('mIoU', 'aAcc', 'mAcc'):
            row[f'{name} %'] = round(float(value), 2)  # some of them are float32
            continue
        if prefix == PREFIX:
            continue
        if name in row:
            name = key
        row[name] = float(value)
    return row


def summary_table(results: Mapping[str, Tested], evals: Sequence[str] = ()) -> str:
    """Lay out the metrics of all sets."""
    columns: list[str] = []
    for name in evals or EVALUATIONS:
        columns += EVALUATIONS[name].columns
    measured = set()
    for tested in results.values():
        directed = set(tested.metrics)  # that have a better side
        for result in tested.results:
            directed -= set(result.undirected)
        measured |= directed
    columns = [key for key in columns if key in measured] or sorted(measured)

    rows = {}
    for name, tested in results.items():
        title = name
        if any(result.no_foreground for result in tested.results):
            title = f'{name} (no object)'
        rows[title] = tested.metrics
        if tested.calibrated:
            rows[title + CALIBRATED] = tested.calibrated
    return format_table(rows, columns)


def verdicts(results: Mapping[str, Tested]) -> list[str]:
    """Say of each set what the calibrator changed, or how sure and right it is."""
    sets = [tested.results for tested in results.values() if tested.results]
    sentences = []
    for rows in sets:
        sentence = overall_verdict([Measured(row) for row in rows])
        if len(sets) > 1:
            sentence = f'{rows[0].dataset}: {sentence}'
        sentences.append(sentence)
    return sentences


def draw_predictions(cfg: Config, folder: str) -> None:
    """Let MMSegmentation's visualization hook paint into a folder."""
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise ValueError(
            '`show_dir` needs '
            "default_hooks.visualization=dict(type='SegVisualizationHook') in the "
            'config'
        )
    if cfg.get('visualizer') is None:
        raise ValueError(
            "`show_dir` needs visualizer=dict(type='SegLocalVisualizer', "
            "vis_backends=[dict(type='LocalVisBackend')]) in the config"
        )
    hook.update(draw=True)
    cfg.visualizer['save_dir'] = folder


def measures_calibration(cfg: Config, evals: Sequence[str] = ()) -> bool:
    """Whether the evaluation includes a ``CalibrationMetric``."""
    if evals:
        return 'ece' in evals
    return calibration_of(cfg, 'test_evaluator') is not None
