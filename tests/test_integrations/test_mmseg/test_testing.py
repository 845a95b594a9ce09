"""Several evaluations in one process."""

import copy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.runner import Runner

import mmaslp  # noqa: F401
from mmaslp import CalibrationMetric, ProbMapHook, ReviewHook, fit_calibrator
from mmaslp.evaluation.comparison import compare_files
from mmaslp.evaluation.result import load_results
from mmaslp.evaluation.verdict import describe, verdict
from mmaslp.files.prob_maps import MapReader
from mmaslp.integrations.mmseg.engine import scores_hooks
from mmaslp.integrations.mmseg.testing import (
    EvaluationOptions,
    Tested,
    _register_outputs,
    draw_predictions,
    evaluate,
    measures_calibration,
    sets_of_test,
    summary_table,
    verdicts,
)
from mmaslp.report.page import report_html
from mmaslp.workflows.review import review_maps
from tests.test_calibration.object_scenes import discs
from tests.toy import add_views


@pytest.fixture
def config(toy, tmp_path):
    """Make the config of an untrained network that is to be tested."""

    def make(work_dir):
        cfg = toy.config(tmp_path / work_dir, custom_hooks=[])
        path = tmp_path / 'x.pth'
        if not path.is_file():
            Runner.from_cfg(cfg).save_checkpoint(
                str(tmp_path), path.name, save_optimizer=False
            )
        cfg.load_from = str(path)
        return cfg

    return make


def test_equal_names_of_work_dirs_do_not_share(config):
    hubs = []
    for work_dir in ('a/run', 'b/run'):
        cfg = config(work_dir)
        cfg.test_evaluator = dict(type='CalibrationMetric')
        cfg.visualizer = dict(
            type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')]
        )
        evaluate(cfg, sets_of_test(cfg))
        # The log file and the picture of the diagram lie in the run's own folder.
        assert list(Path(cfg.work_dir).rglob('*.log'))
        assert list(Path(cfg.work_dir).rglob('vis_image/reliability*.png'))
        hubs.append(MessageHub.get_current_instance())
    assert hubs[0] is not hubs[1]


def test_the_config_that_a_training_left_stays(config, tmp_path):
    config('run').dump(tmp_path / 'mine.py')
    cfg = Config.fromfile(tmp_path / 'mine.py')
    cfg.work_dir = str(tmp_path / 'run')
    left = tmp_path / 'run' / 'mine.py'
    cfg.test_evaluator = dict(type='CalibrationMetric', draw=False)
    evaluate(cfg, sets_of_test(cfg))
    assert left.exists()  # nothing was there before

    left.write_text('lr = 0.03  # what was trained\n')
    evaluate(cfg, sets_of_test(cfg), EvaluationOptions(overwrite=True))
    assert left.read_text() == 'lr = 0.03  # what was trained\n'


def test_an_ending_that_no_test_image_has(config):
    cfg = config('run')
    cfg.test_dataloader.dataset = dict(
        type='BaseSegDataset',
        data_root=cfg.test_dataloader.dataset.data_root,
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        img_suffix='.tif',
    )
    with pytest.raises(FileNotFoundError, match=r'ends with \.tif: name'):
        evaluate(cfg, sets_of_test(cfg))


def test_evaluators_in_any_form(config, monkeypatch):
    cfg = config('run')
    metric = dict(type='mmseg.CalibrationMetric', bins=15, draw=False, resamples=0)
    cfg.test_evaluator = [metric]
    assert measures_calibration(cfg)
    for evals in (['ece', 'ece'], ()):
        options = EvaluationOptions(evals=evals, overwrite=True)
        tested = evaluate(cfg, sets_of_test(cfg), options)
        [result] = tested['test'].results
        assert result.settings['bins'] == 15
        assert verdicts(tested)[0].startswith(describe(result))
    # A class cannot be dumped on OpenMMLab, so that only the look-up is tested.
    assert measures_calibration({'test_evaluator': dict(type=CalibrationMetric)})
    cfg.test_evaluator = None
    assert not measures_calibration(cfg)
    with pytest.raises(ValueError, match='nothing to measure: give `evals`'):
        evaluate(cfg, sets_of_test(cfg), EvaluationOptions(overwrite=True))


def test_metrics_with_a_prefix_of_their_own(config, tmp_path):
    cfg = config('run')
    cfg.test_evaluator = [
        dict(type='CalibrationMetric', draw=False),
        dict(type='CalibrationMetric', draw=False, bins=15, prefix='b'),
        dict(type='CalibrationMetric', draw=False, mode='positive', prefix='positive'),
    ]
    prob, label = map(np.stack, zip(*(discs(k) for k in range(20))))
    calibrator = fit_calibrator(prob, label)
    options = EvaluationOptions(
        calibrator=calibrator, report=str(tmp_path / 'page.html')
    )
    tested = evaluate(cfg, sets_of_test(cfg), options)
    results = tested['test'].results
    assert [row.model for row in results] == ['model', 'model, calibrated']
    assert not any(row.is_positive or row.settings['bins'] != 10 for row in results)
    assert {'b/ece', 'positive/ece'} <= tested['test'].metrics.keys()
    assert verdicts(tested)

    calibrator.save(tmp_path / 'c.json')
    for metric in cfg.test_evaluator:  # the first row is raw, and the others are not
        metric.update(bins=10, mode='top_label', calibrator=str(tmp_path / 'c.json'))
    again = evaluate(cfg, sets_of_test(cfg), EvaluationOptions(overwrite=True))['test']
    raw, calibrated = (row.metrics['ece'] for row in results)
    found = [again.metrics[key] for key in ('ece', 'b/ece', 'positive/ece')]
    assert found == pytest.approx([raw, calibrated, calibrated])
    assert raw != pytest.approx(calibrated)

    cfg.test_evaluator[1].pop('prefix')
    with pytest.raises(ValueError, match='two CalibrationMetrics have one prefix'):
        evaluate(cfg, sets_of_test(cfg), EvaluationOptions(overwrite=True))


def test_views_of_several_data_sets(config):
    cfg = config('run')
    one = cfg.test_dataloader.dataset
    cfg.test_dataloader.dataset = dict(
        type='ConcatDataset', datasets=[{**one, 'indices': k} for k in (1, 2)]
    )
    add_views(cfg)
    tested = evaluate(cfg, sets_of_test(cfg), EvaluationOptions(tta=True))
    assert tested['test'].results[0].num_images == 3


def test_maps_of_logits_without_a_negative_one(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', channels=2, custom_hooks=[])
    runner = Runner.from_cfg(cfg)
    torch.nn.init.constant_(runner.model.decode_head.conv_seg.weight, 0.0)
    torch.nn.init.constant_(runner.model.decode_head.conv_seg.bias, 3.0)
    runner.save_checkpoint(str(tmp_path), 'x.pth', save_optimizer=False)
    cfg.load_from = str(tmp_path / 'x.pth')
    cfg.test_evaluator = dict(type='CalibrationMetric', draw=False, scores='logits')
    maps = tmp_path / 'maps'
    evaluate(cfg, sets_of_test(cfg), EvaluationOptions(out_prob=str(maps)))
    assert all(abs(MapReader().read(m) - 0.5).max() < 1e-4 for m in maps.iterdir())
    with pytest.raises(ValueError, match='bits must be one of 8, 16, got 12'):
        ProbMapHook(str(maps), bits=12)


def test_a_set_without_objects_says_so():
    empty = SimpleNamespace(no_foreground=True, undirected=set())
    results = {
        'a': Tested('folder', {'ece': 0.1, 'acc': 0.9}, {'ece': 0.05, 'acc': 0.9}),
        'b': Tested('folder', {'ece': 0.9, 'acc': 0.9}, results=[empty]),
    }
    lines = [line.split() for line in summary_table(results, ['ece']).splitlines()]
    assert lines[0][:2] == ['ECE', 'accuracy']
    assert [line[0] for line in lines[1:]] == ['a', 'a,', 'b']
    assert lines[3][1:] == ['(no', 'object)', '0.9000', '0.9000']


@pytest.mark.parametrize('given', ['{}', ['a'], dict(a='folder')], ids=str)
def test_named_sets_are_a_dict_of_data_sets(config, given):
    cfg = config('a')
    cfg.test_sets = given
    with pytest.raises(ValueError, match='test_sets'):
        sets_of_test(cfg)
    cfg.test_sets = None
    assert [*sets_of_test(cfg)] == ['test']


def test_a_named_set_is_read_as_the_main_one(config, tmp_path):
    cfg = config('a')
    main = cfg.test_dataloader.dataset
    cfg.test_sets = dict(
        other={key: main[key] for key in main if key != 'pipeline'},
        both=dict(type='ConcatDataset', datasets=[main]),
    )
    sets = sets_of_test(cfg)
    assert sets['other'].pipeline == main.pipeline
    assert 'pipeline' not in sets['both']
    found = evaluate(cfg, sets)
    assert found['other'].metrics == found['test'].metrics


def test_a_review_of_a_config_is_that_of_its_maps(config, tmp_path, recwarn):
    scenes = [discs(k) for k in range(20)]
    calibrator = fit_calibrator([p for p, _ in scenes], [m for _, m in scenes])
    cfg = config('run')
    evaluate(cfg, sets_of_test(cfg), EvaluationOptions(out_prob=str(tmp_path / 'maps')))
    file = tmp_path / 'r.csv'
    options = EvaluationOptions(calibrator=calibrator, review=str(file))
    evaluate(cfg, sets_of_test(cfg), replace(options, overwrite=True))
    lines = file.read_text().splitlines()
    assert lines[0].startswith('image,score,dice,dice_low')
    expected = review_maps(calibrator, tmp_path / 'maps')
    found = {line.split(',')[0] for line in lines[1:]}
    assert found == {row.name for row in expected}
    assert 'true_dice' in lines[0]

    again = EvaluationOptions(out_prob=str(tmp_path / 'maps'), overwrite=True)
    evaluate(cfg, sets_of_test(cfg), again)
    assert not any('other files' in str(each.message) for each in recwarn)
    (tmp_path / 'maps' / 'old.png').touch()
    with pytest.warns(match=r'maps contains other files too.*: old\.png$'):
        evaluate(cfg, sets_of_test(cfg), again)

    file.write_text('mine')
    with pytest.raises(FileExistsError, match=r'r\.csv'):
        evaluate(cfg, sets_of_test(cfg), options)
    old = replace(calibrator, decisions=None)
    with pytest.raises(ValueError, match='fit it again'):
        ReviewHook(str(tmp_path / 'x.csv'), old)


def test_a_review_compares_groups_of_images(config, sharp, tmp_path, monkeypatch):
    taken = []

    def compare(calibrator, rows, groups):
        taken.append(groups)
        return None, rows

    monkeypatch.setattr(scores_hooks, 'compare_review', compare)

    def two_patients(names):
        assert all(name.endswith('.png') for name in names)
        return [number % 2 for number in range(len(names))]

    cfg = config('run')
    options = EvaluationOptions(calibrator=sharp, review=str(tmp_path / 'r.csv'))
    evaluate(cfg, sets_of_test(cfg), replace(options, groups=two_patients))
    (groups,) = taken
    assert len(groups) > 2
    assert set(groups.values()) == {0, 1}


@pytest.mark.parametrize(
    ('images', 'names'),
    [
        (['d/a.x.png', 'd/b.png'], ['a.x', 'b']),
        (['d/a/1.png', 'd/1.png', 'd/1.png'], ['a/1', '1']),
        (['d/1.png', 'd/1.jpg'], ['d/1.png', 'd/1.jpg']),
    ],
)
def test_a_review_tells_images_of_one_stem_apart(sharp, tmp_path, images, names):
    hook = ReviewHook(str(tmp_path / 'x.csv'), sharp)
    hook.outputs(images)
    assert [*hook._names.values()] == names


def test_a_review_leaves_out_what_the_metric_ignores(sharp, tmp_path):
    """Before, it took 255 whatever the config said, and refused the label."""
    prob, label = discs(0)
    dice = []
    for ignored in (2, 255):
        mask = label.copy()
        mask[:5] = ignored
        out = str(tmp_path / f'{ignored}.csv')
        hook = ReviewHook(out, sharp, ignore_index=ignored)
        hook.outputs(['a.png'])
        hook._rows = {}
        hook.take('a.png', prob, {'gt_sem_seg': {'data': torch.from_numpy(mask)[None]}})
        dice.append(hook._rows['a.png'].truth.dice)
    assert dice[0] == dice[1]

    hooks = []
    metric = dict(type='CalibrationMetric', ignore_index=2)
    _register_outputs(
        SimpleNamespace(register_hook=hooks.append),
        Config(dict(test_evaluator=metric)),
        EvaluationOptions(calibrator=sharp, review=str(tmp_path / 'r.csv')),
    )
    assert [hook.ignore_index for hook in hooks] == [2]


@pytest.fixture(scope='module')
def sharp():
    """Default calibrator of discs: it keeps masks."""
    return fit_calibrator(*zip(*(discs(k) for k in range(20))))


@pytest.mark.usefixtures('plain_charts')
def test_rows_are_cut_at_one_threshold(config, sharp):
    cfg = config('run')
    cfg.test_evaluator = [
        # As bases of mmaslp:: name it.
        dict(type='CalibrationMetric', draw=False, _scope_='mmaslp'),
        dict(type='IoUMetric', iou_metrics=['mIoU']),
    ]
    options = EvaluationOptions(model='net', calibrator=sharp)
    unset = copy.deepcopy(cfg)
    del unset.model.decode_head['threshold']
    with pytest.raises(ValueError, match=r'0\.3.*decode_head=dict\(threshold=0\.5\)'):
        evaluate(unset, sets_of_test(unset), options)
    # IoU alone is that of the masks of the network, wherever it cuts them.
    alone = EvaluationOptions(evals=['iou'])
    assert 'mIoU %' in evaluate(unset, sets_of_test(unset), alone)['test'].metrics

    found = evaluate(cfg, sets_of_test(cfg), replace(options, overwrite=True))
    tested = found['test']
    raw, calibrated = tested.results
    assert [raw.model, calibrated.model] == ['net', 'net, calibrated']
    assert raw.metrics['nll'] != calibrated.metrics['nll']
    assert tested.metrics['mIoU %'] == tested.calibrated['mIoU %']
    for key in ('acc', 'dice', 'iou'):
        assert raw.metrics[key] == calibrated.metrics[key]
    # The share of correct pixels is one number, under one name.
    assert tested.metrics['aAcc %'] == round(100 * raw.metrics['acc'], 2)
    assert 'aAcc %' not in raw.measures
    assert [file['role'] for file in raw.files] == ['checkpoint']

    file = Path(cfg.work_dir, 'eval', 'test', 'calibration_test.json')
    [comparison] = compare_files(str(file))
    assert comparison.of_calibrator
    assert verdict(comparison) == verdicts(found)[0]
    page = report_html(load_results(file))
    assert verdict(comparison) in page


def test_groups_of_images_count_and_not_images(config, sharp, monkeypatch):
    cfg = config('run')
    cfg.test_evaluator = [dict(type='CalibrationMetric', draw=False)]

    def two_patients(names):
        assert all(name.endswith('.png') for name in names)
        return [number % 2 for number in range(len(names))]

    options = EvaluationOptions(calibrator=sharp, groups=two_patients, overwrite=True)
    found = evaluate(cfg, sets_of_test(cfg), options)
    for result in found['test'].results:
        assert result.images.num_groups == result.settings['groups'] == 2
    file = Path(cfg.work_dir, 'eval', 'test', 'calibration_test.json')
    [comparison] = compare_files(str(file), resamples=20)
    assert comparison.groups == (2, 2)
    assert 'too few groups to tell' in verdicts(found)[0]

    # A pattern that does not fit is told before the network runs.
    monkeypatch.setattr(Runner, 'test', None)

    def refused(names):
        raise ValueError('matches nothing')

    with pytest.raises(ValueError, match='matches nothing'):
        evaluate(cfg, sets_of_test(cfg), replace(options, groups=refused))


@pytest.mark.parametrize('lacking', ['visualizer', 'hook'])
def test_what_painting_needs(lacking):
    hooks = dict(visualization=dict(type='SegVisualizationHook'))
    cfg = Config(dict(default_hooks=hooks, visualizer=dict(type='SegLocalVisualizer')))
    if lacking == 'visualizer':
        cfg.visualizer = None
    else:
        cfg.default_hooks = {}
    with pytest.raises(ValueError, match='`show_dir` needs'):
        draw_predictions(cfg, 'shown')


def test_scores_are_refused_by_all_processes_or_none(tmp_path, monkeypatch):
    """This process has seen doubtful scores only; another one has not."""
    hook = ProbMapHook(str(tmp_path))
    hook._reader.images = hook._reader.doubtful = 3
    with pytest.raises(ValueError, match='neither logits nor'):
        hook.after_test_epoch(None)
    monkeypatch.setattr(scores_hooks, 'all_gather_object', lambda own: [own, (2, 0)])
    hook.after_test_epoch(None)
