"""Several evaluations in one process."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.runner import Runner

import mmaslp  # noqa: F401
from mmaslp import fit_calibrator
from mmaslp.evaluation.result import Tested
from mmaslp.files.prob_maps import MapReader
from mmaslp.files.review import review_maps
from mmaslp.integrations.mmseg.engine import ProbMapHook, ReviewHook
from mmaslp.integrations.mmseg.evaluation import CalibrationMetric
from mmaslp.integrations.mmseg.testing import (
    NamedCalibrator,
    evaluate,
    measures_calibration,
    summary_table,
    test_sets,
)
from tests.test_calibration.object_scenes import discs


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
        cfg.visualizer = dict(
            type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')]
        )
        evaluate(cfg, test_sets(cfg))
        # The log file and the picture of the diagram lie in the run's own folder.
        assert list(Path(cfg.work_dir).rglob('*.log'))
        assert list(Path(cfg.work_dir).rglob('vis_image/reliability*.png'))
        hubs.append(MessageHub.get_current_instance())
    assert hubs[0] is not hubs[1]


def test_evaluators_in_any_form(config, monkeypatch):
    cfg = config('run')
    metric = dict(type='mmseg.CalibrationMetric', bins=15, draw=False, resamples=0)
    cfg.test_evaluator = [metric]
    assert measures_calibration(cfg, None)
    for evals in (['ece', 'ece'], None):
        result = evaluate(cfg, test_sets(cfg), evals=evals)['test']
        assert result.result.settings['bins'] == 15
    # A class cannot be dumped on OpenMMLab, so that only the look-up is tested.
    assert measures_calibration({'test_evaluator': dict(type=CalibrationMetric)}, None)
    cfg.test_evaluator = None
    assert not measures_calibration(cfg, None)
    with pytest.raises(ValueError, match='nothing to measure: give --eval'):
        evaluate(cfg, test_sets(cfg))


def test_maps_of_logits_without_a_negative_one(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', channels=2, custom_hooks=[])
    runner = Runner.from_cfg(cfg)
    torch.nn.init.constant_(runner.model.decode_head.conv_seg.weight, 0.0)
    torch.nn.init.constant_(runner.model.decode_head.conv_seg.bias, 3.0)
    runner.save_checkpoint(str(tmp_path), 'x.pth', save_optimizer=False)
    cfg.load_from = str(tmp_path / 'x.pth')
    cfg.test_evaluator = dict(type='CalibrationMetric', scores='logits')
    maps = tmp_path / 'maps'
    evaluate(cfg, test_sets(cfg), out_prob=str(maps))
    assert all(abs(MapReader().read(m) - 0.5).max() < 1e-4 for m in maps.iterdir())
    with pytest.raises(ValueError, match='bits must be one of 8, 16, got 12'):
        ProbMapHook(str(maps), bits=12)


def test_sets_without_objects_stay_out_of_the_mean():
    results = {
        'a': Tested('a', {'ece': 0.1, 'acc': 0.9}),
        'b': Tested('b', {'ece': 0.3, 'acc': 0.9}),
        'c': Tested('c', {'ece': 0.9, 'acc': 0.9}, no_foreground=True),
    }
    lines = [line.split() for line in summary_table(results, ['ece']).splitlines()]
    assert lines[0][:2] == ['ECE', 'accuracy']
    assert [line[0] for line in lines[1:]] == ['a', 'b', 'mean', 'c']
    assert float(lines[3][1]) == pytest.approx(0.2)


@pytest.mark.parametrize('given', ['{}', ['a'], dict(a='folder')], ids=str)
def test_named_sets_are_a_dict_of_data_sets(config, given):
    cfg = config('a')
    cfg.test_sets = given
    with pytest.raises(ValueError, match='test_sets must be a dict of data sets by na'):
        test_sets(cfg)
    cfg.test_sets = None
    assert [*test_sets(cfg)] == ['test']


def test_a_review_of_a_config_is_that_of_its_maps(config, tmp_path):
    scenes = [discs(k) for k in range(20)]
    calibrator = fit_calibrator([p for p, _ in scenes], [m for _, m in scenes])
    cfg = config('run')
    evaluate(cfg, test_sets(cfg), out_prob=str(tmp_path / 'maps'))
    named = NamedCalibrator(calibrator, 'own')
    file = tmp_path / 'r.csv'
    options = dict(calibrator=named, review=str(file))
    evaluate(cfg, test_sets(cfg), overwrite=True, **options)
    lines = file.read_text().splitlines()
    assert lines[0].startswith('image,score,dice,dice_low')
    expected = review_maps(calibrator, tmp_path / 'maps')
    found = {line.split(',')[0] for line in lines[1:]}
    assert found == {row.name for row in expected}
    assert 'true_dice' in lines[0]

    file.write_text('mine')
    with pytest.raises(FileExistsError, match=r'r\.csv'):
        evaluate(cfg, test_sets(cfg), **options)
    old = replace(calibrator, decisions=None)
    with pytest.raises(ValueError, match='fit it again'):
        ReviewHook(str(tmp_path / 'x.csv'), old)
