"""From a training of MMSegmentation to calibrated rows."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmaslp.calibration import Calibrator
from mmaslp.calibration.fitting.decisions import fit_decisions
from mmaslp.calibration.fitting.summary import decisions_in_words
from mmaslp.commands import run_command
from mmaslp.evaluation.result import load_results
from mmaslp.files.images import is_calibrated
from mmaslp.files.prob_maps import MapReader
from mmaslp.integrations.mmseg.calibration import (
    calibrator_of_checkpoint,
    collect_tables,
    tables_of_checkpoint,
    windows_of,
)
from mmaslp.integrations.mmseg.engine import calibrator_hook
from mmaslp.integrations.mmseg.evaluation.metrics import ScoreReader
from mmaslp.integrations.mmseg.training import prepare_training
from tests.toy import Toy, add_views, write_images


def text(calibrator):
    return [calibrator.method, calibrator.summary(), str(calibrator.curves)]


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """Folder of a toy training that ended with CalibratorHook."""
    toy = Toy(tmp_path_factory.mktemp('whole'))
    write_images(toy.root / 'more', 12, seed=2)
    cfg = toy.config(toy.root / 'run')
    cfg.val_dataloader.dataset.data_root = str(toy.root / 'more')
    cfg.custom_hooks = [dict(type='CalibratorHook', method='isotonic', by='single')]
    Runner.from_cfg(cfg).train()
    cfg.dump(toy.root / 'config.py')
    return toy.root


@pytest.fixture
def trained(whole, tmp_path):
    """Copies of its config, checkpoint and calibrator."""
    return [
        Path(shutil.copy(whole / name, tmp_path))
        for name in ('config.py', 'run/epoch_3.pth', 'run/calibrator.json')
    ]


@pytest.mark.usefixtures('plain_charts')
def test_the_checkpoint_holds_the_calibrator(trained, tmp_path, capsys):
    config, checkpoint, file = trained
    found = calibrator_of_checkpoint(str(checkpoint))
    assert text(found) == text(Calibrator.load(file))
    assert found.method == 'isotonic'
    assert torch.load(checkpoint, weights_only=False)['state_dict']

    args = [str(config), str(checkpoint), '--work-dir', str(tmp_path / 'test')]
    page = tmp_path / 'report.html'
    args += ['--out-prob', str(tmp_path / 'maps'), '--report', str(page)]
    assert run_command('test', args) == 0
    assert 'config, calibrated' in page.read_text()
    assert [MapReader().read(m).shape for m in (tmp_path / 'maps').iterdir()] == [
        (16, 16)
    ] * 5
    assert ', calibrated' in capsys.readouterr().out
    results = json.loads((tmp_path / 'test/eval/results.json').read_text())['test']
    assert results['calibrated_acc'] == pytest.approx(results['acc'])
    assert results['calibrated_ece'] != results['ece']

    # The raw row is raw; the calibrated one names its calibrator.
    raw, calibrated = load_results(page.with_suffix('.report.json'))
    assert not raw.settings['calibrator']
    assert calibrated.settings['calibrator'] == 'single isotonic'

    # The same file comes of a fit to the checkpoint, from the command line.
    again = tmp_path / 'again.json'
    options = ['--method', 'isotonic', '--by', 'single', '--out', str(again)]
    assert run_command('fit', [str(config), str(checkpoint), *options]) == 0
    assert text(Calibrator.load(again)) == text(found)


def test_a_fit_refuses_masks_of_0_and_255(trained, tmp_path, capsys):
    config, checkpoint, _ = trained
    config.write_text(config.read_text().replace('LoadBinaryAnn', 'LoadAnn'))
    args = [str(config), str(checkpoint), '--out', str(tmp_path / 'c.json')]
    assert run_command('fit', args) == 2
    remedy = 'LoadBinaryAnnotations reads masks of 0 and 1 or 255'
    assert remedy in capsys.readouterr().err


def test_images_that_a_fit_must_not_take(trained, tmp_path, capsys):
    config, checkpoint, _ = trained
    cfg = Config.fromfile(config)
    own = cfg.val_dataloader.dataset
    out = ['--out', str(tmp_path / 'c.json'), '--overwrite']
    # The last one is that of the training; its pipeline is another one's business.
    trained_on = {**cfg.train_dataloader.dataset, 'pipeline': own.pipeline}
    repeated = dict(type='RepeatDataset', times=2, dataset=own)
    unseen = {**own, 'data_prefix': dict(img_path='other', seg_map_path='other')}
    too_sure = 'the network is too sure of them: fit to other images'
    too_good = 'what a calibrator gains there is too good: test on others'
    for dataset, test, status, words in (
        (own, unseen, 0, []),
        (own, own, 0, [too_good]),
        (repeated, unseen, 2, ['gives images several']),
        (
            dict(type='ConcatDataset', datasets=[own, trained_on]),
            unseen,
            0,
            [too_sure],
        ),
    ):
        cfg.val_dataloader.dataset = dataset
        cfg.test_dataloader.dataset = test
        cfg.dump(config)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            assert run_command('fit', [str(config), str(checkpoint), *out]) == status
        said = capsys.readouterr().err + ''.join(str(each.message) for each in caught)
        assert all(each in said for each in words)
        assert (too_sure in said, too_good in said) == (
            too_sure in words,
            too_good in words,
        )


def test_a_fit_to_a_folder_of_the_user(trained, tmp_path, recwarn):
    config, checkpoint, _ = trained
    folder = tmp_path / 'mine'
    write_images(folder, 7, seed=5)
    before = sorted(folder.rglob('*'))
    out = tmp_path / 'c.json'
    args = [str(config), str(checkpoint), '--data', str(folder), '--out', str(out)]
    assert run_command('fit', args) == 0
    assert Calibrator.load(out).record['images'] == 7
    assert sorted(folder.rglob('*')) == before
    # These are not the images that the config trains on.
    assert not any('too sure' in str(each.message) for each in recwarn)


def test_a_calibrator_of_one_view_is_not_that_of_their_mean(trained, tmp_path, recwarn):
    config, checkpoint, file = trained
    cfg = Config.fromfile(config)
    add_views(cfg)
    cfg.dump(config)
    args = [str(config), str(checkpoint), '--eval', 'ece', '--work-dir', str(tmp_path)]
    of_maps = tmp_path / 'of_maps.json'  # such as those of --tta --out-prob
    calibrator = Calibrator.load(file)
    calibrator.record['network'] = None
    calibrator.save(of_maps)
    for options, said in (
        (['--tta', '--calibrator', str(file)], True),
        (['--tta', '--calibrator', str(of_maps)], False),
        (['--calibrator', str(file)], False),
        (['--tta'], False),  # without the calibrator of the checkpoint
    ):
        recwarn.clear()
        assert run_command('test', [*args, *options, '--overwrite']) == 0
        found = any('mean of the views' in str(each.message) for each in recwarn)
        assert found == said


@pytest.mark.parametrize(('options', 'rows'), [([], 2), (['--raw'], 1), (['--tta'], 1)])
def test_the_calibrator_of_a_checkpoint_is_left_out(toy, tmp_path, options, rows):
    cfg = toy.config(tmp_path / 'run')
    cfg.custom_hooks = [dict(type='CalibratorHook')]
    add_views(cfg)
    Runner.from_cfg(cfg).train()
    cfg.dump(tmp_path / 'c.py')
    checkpoint = tmp_path / 'run' / 'epoch_3.pth'
    args = [str(tmp_path / 'c.py'), str(checkpoint), '--eval', 'ece']
    args += ['--work-dir', str(tmp_path / 'out'), '--out-prob', str(tmp_path / 'maps')]
    assert run_command('test', [*args, *options]) == 0
    [place] = (tmp_path / 'out').glob('eval*')
    assert len(load_results(place / 'test' / 'calibration_test.json')) == rows
    for path in (tmp_path / 'maps').iterdir():
        assert is_calibrated(path) == (rows == 2)
    # Also one that cannot be read.
    content = torch.load(checkpoint, weights_only=False)
    content['calibrator'] = '{"version": 99}'
    torch.save(content, checkpoint)
    assert run_command('test', [*args, *options, '--overwrite']) == (
        2 if rows > 1 else 0
    )


@pytest.mark.parametrize(
    ('settings', 'held'),
    [
        (dict(), True),
        (dict(interval=2, save_last=False), False),  # the last one is of epoch 2 of 3
        (dict(interval=4, save_last=False), False),  # there is none
    ],
)
def test_weights_that_no_checkpoint_holds_are_told(toy, tmp_path, settings, held):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[dict(type='CalibratorHook')])
    cfg.default_hooks.checkpoint.update(settings)
    Runner.from_cfg(cfg).train()
    assert (tmp_path / 'run' / 'calibrator.json').is_file()
    found = [
        calibrator_of_checkpoint(str(path)) is not None
        for path in sorted((tmp_path / 'run').glob('*.pth'))
    ]
    assert found[-1:] in ([held], [])
    [log] = (tmp_path / 'run').glob('*/*.log')
    said = (
        'WARNING - The calibrator belongs to the weights at the end' in log.read_text()
    )
    assert said is not held


def test_options_of_maps_are_not_for_a_network(trained, tmp_path, capsys):
    config, checkpoint, _ = trained
    args = [str(config), str(checkpoint), '--out', str(tmp_path / 'c.json')]
    assert run_command('fit', [*args, '--workers', '2']) == 2
    assert '--workers are for: give the folder' in capsys.readouterr().err


def test_a_fit_names_the_config_that_lacks_a_validation(tmp_path):
    path = tmp_path / 'net.py'
    path.write_text('val_dataloader = None')
    with pytest.raises(ValueError, match=r'/net\.py has no val_dataloader, and a cali'):
        tables_of_checkpoint(Config.fromfile(path), list)


def test_a_training_without_validation_is_refused(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    cfg.custom_hooks = [dict(type='CalibratorHook')]
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    with pytest.raises(ValueError, match='CalibratorHook fits on the validation set'):
        Runner.from_cfg(cfg).train()


def test_few_images_do_not_spoil_a_training(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    cfg.val_dataloader.dataset.indices = 4
    cfg.custom_hooks = [dict(type='CalibratorHook')]
    Runner.from_cfg(cfg).train()
    assert not (tmp_path / 'run' / 'calibrator.json').exists()
    assert calibrator_of_checkpoint(str(tmp_path / 'run' / 'epoch_3.pth')) is None


def test_the_calibrator_is_of_the_averaged_weights(toy, tmp_path):
    """They are what a checkpoint holds; the model goes on with its own."""
    cfg = toy.config(tmp_path / 'run')
    ema = dict(type='EMAHook', momentum=0.5)
    cfg.custom_hooks = [dict(type='CalibratorHook'), ema]
    runner = Runner.from_cfg(cfg)
    runner.train()
    calibrator = Calibrator.load(tmp_path / 'run/calibrator.json')
    with pytest.warns(match='other weights'):
        calibrator.check_network(runner.model)
    state = torch.load(tmp_path / 'run/epoch_3.pth', weights_only=False)['state_dict']
    runner.model.load_state_dict(state)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        calibrator.check_network(runner.model)

    cfg.dump(tmp_path / 'c.py')
    args = [str(tmp_path / name) for name in ('c.py', 'run/epoch_3.pth')]
    file = tmp_path / 'again.json'
    assert run_command('fit', [*args, '--out', str(file)]) == 0
    again = Calibrator.load(file)
    assert again.curves[0][1].tolist() == calibrator.curves[0][1].tolist()
    assert again.record['network'] == calibrator.record['network']


def maps_in(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_one_rule_says_which_maps_a_test_writes(trained, tmp_path):
    """Whatever is measured, and however the checkpoint is read."""
    config, checkpoint, _ = trained
    written = []
    for k, options in enumerate(
        (['--eval', 'ece'], ['--eval', 'iou'], ['--eval', 'ece', '--trust-checkpoint'])
    ):
        place = tmp_path / str(k)
        words = [str(config), str(checkpoint), '--work-dir', str(place / 'run')]
        words += ['--out-prob', str(place / 'maps'), *options]
        assert run_command('test', words) == 0
        written.append(maps_in(place / 'maps'))
        results = json.loads((place / 'run/eval/results.json').read_text())['test']
        assert ('calibrated_ece' in results) is ('ece' in options)
    assert written[0] == written[1] == written[2]


def test_a_calibrator_that_the_config_names_gets_a_row_of_its_own(trained, tmp_path):
    config, checkpoint, named = trained
    options = ['--cfg-options', f'test_evaluator.0.calibrator={named}']
    words = [str(config), str(checkpoint), '--work-dir', str(tmp_path / 'test')]
    assert run_command('test', [*words, *options]) == 0
    results = json.loads((tmp_path / 'test/eval/results.json').read_text())['test']
    assert results['calibrated_ece'] != results['ece']


def test_a_damaged_calibrator_names_the_checkpoint(trained, tmp_path, capsys):
    config, checkpoint, _ = trained
    content = torch.load(checkpoint, weights_only=False)
    content['calibrator'] = '{"a": 1}'
    torch.save(content, checkpoint)
    assert run_command('test', [str(config), str(checkpoint)]) == 2
    said = capsys.readouterr().err
    assert f'the calibrator in {checkpoint}: ' in said


def test_the_hook_reads_the_options_of_our_metric(toy, tmp_path):
    """IoUMetric, before it, has an ignore_index too."""
    write_images(toy.root / 'more', 12, seed=2)
    cfg = toy.config(tmp_path / 'run')
    cfg.val_dataloader.dataset.data_root = str(toy.root / 'more')
    cfg.val_evaluator = [
        dict(type='IoUMetric', iou_metrics=['mIoU'], ignore_index=255),
        dict(type='CalibrationMetric', ignore_index=7),
    ]
    cfg.custom_hooks = [dict(type='CalibratorHook')]
    runner = Runner.from_cfg(cfg)
    seen = []

    def collect(model, loader, reader):
        seen.append(reader.ignore_index)
        raise ValueError('nothing to count')

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibrator_hook, 'collect_tables', collect)
        runner.train()
    assert seen == [7]


def test_windows_tell_when_an_empty_mask_is_right(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[])
    runner = Runner.from_cfg(cfg)
    torch.nn.init.constant_(runner.model.decode_head.conv_seg.bias, -9.0)  # nothing
    loader = runner.build_dataloader(cfg.val_dataloader, seed=0)
    plain, more = (
        collect_tables(runner.model, loader, ScoreReader(), windows=windows)
        for windows in (False, True)
    )
    assert torch.equal(plain.counts, more.counts)
    assert len(plain.contents) == len(more.contents) == 5
    assert not plain.negative_crops
    assert 1 <= len(more.negative_crops) <= 5
    decisions = fit_decisions(more.contents, more.negative_crops)
    assert decisions.empty == [5 + len(more.negative_crops), len(more.negative_crops)]
    assert f'in {len(more.negative_crops)} of them there is nothing' in '\n'.join(
        decisions_in_words(decisions)
    )


def test_windows_are_cut_where_the_mask_says():
    label = torch.zeros(1, 8, 8)
    label[:, :, 4:] = 1
    sample = SegDataSample(metainfo=dict(img_path='a.png', ori_shape=(8, 8)))
    sample.gt_sem_seg = PixelData(data=label)
    image = torch.arange(16.0).expand(3, 16, 16)  # of twice the size of the mask
    full = SegDataSample(metainfo=dict(img_path='b.png'))
    full.gt_sem_seg = PixelData(data=torch.ones(1, 8, 8))
    batch = dict(inputs=[image, image], data_samples=[sample, full])
    found = windows_of(batch, np.random.default_rng(0))
    assert len(found['inputs']) == len(found['data_samples']) == 1
    assert found['inputs'][0].shape == image.shape
    assert found['inputs'][0].max() <= 7
    own = found['data_samples'][0]
    assert own.ori_shape == (8, 8)
    assert not own.gt_sem_seg.data.any()
    assert not windows_of(dict(inputs=[image], data_samples=[full]), None)['inputs']


def test_a_validation_logs_windows(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[dict(type='WindowsHook')])
    runner = Runner.from_cfg(cfg)
    runner.val()
    hub = runner.message_hub
    found = hub.get_scalar('val/windows/empty_found').current()
    nll = hub.get_scalar('val/windows/nll_windows').current()
    assert 0 <= found <= 1
    assert 0 < nll < 5
    runner.val()
    assert hub.get_scalar('val/windows/nll_windows').current() == nll


def test_a_calibrator_of_another_checkpoint_is_told(trained, tmp_path, capsys):
    config, checkpoint, named = trained
    words = [str(config), str(checkpoint), '--calibrator', str(named), '--eval', 'ece']
    with warnings.catch_warnings():
        warnings.filterwarnings('error', 'the calibrator was fitted')
        assert run_command('test', [*words, '--work-dir', str(tmp_path / 'one')]) == 0
    assert 'calibrated' in capsys.readouterr().out
    content = torch.load(checkpoint, weights_only=False)
    name = next(key for key in content['state_dict'] if key.endswith('weight'))
    content['state_dict'][name] *= 1.01
    torch.save(content, checkpoint)
    with pytest.warns(UserWarning, match='fitted to a network of other weights'):
        assert run_command('test', [*words, '--work-dir', str(tmp_path / 'two')]) == 0


def test_a_validation_that_repeats_images_is_refused(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    cfg.custom_hooks = [dict(type='CalibratorHook')]
    loader = cfg.val_dataloader
    loader.dataset = dict(type='RepeatDataset', times=2, dataset=loader.dataset)
    with pytest.raises(ValueError, match='gives images several times'):
        prepare_training(cfg)


def test_a_model_trains_on_after_a_fit_that_failed(toy, tmp_path):
    runner = Runner.from_cfg(toy.config(tmp_path / 'run'))
    loader = runner.val_loop.dataloader
    runner.model.train()
    with pytest.raises(IndexError):
        collect_tables(runner.model, loader, ScoreReader('auto', binary=True), [])
    assert runner.model.training
