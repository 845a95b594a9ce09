"""Fitting through the host's runner; the file is also what the processes run."""

import json
import os
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image

import mmaslp  # noqa: F401
from mmaslp.core.measure.border_temperature import (
    BorderTemperatures,
    fit_border_temperatures,
)
from mmaslp.core.measure.logit_histogram import LogitHistogram
from mmaslp.core.measure.temperature import fit_temperature
from mmaslp.files.temperature_file import read_temperature
from mmaslp.hosts.mmseg.hooks import TemperatureHook
from mmaslp.hosts.mmseg.temperature import (
    apply_temperature,
    collect_logits,
    fit_checkpoint,
    fit_summary,
)

NAMES = pytest.mark.parametrize(
    'name', ['TemperatureHook', 'mmseg.TemperatureHook', TemperatureHook]
)
CHANNELS = pytest.mark.parametrize('channels', [1, 2])


class Scores(Hook):
    """Counts the logits of the samples that the evaluator receives."""

    def __init__(self):
        self.histogram = LogitHistogram()

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        for sample in outputs:
            scores = sample.seg_logits.data.double()
            logit = scores[0].logit() if len(scores) == 1 else scores[1] - scores[0]
            self.histogram.update(logit, sample.gt_sem_seg.data[0])


@pytest.fixture
def trained(toy, tmp_path):
    """Make the config of a briefly trained network."""

    def make(channels=1, **overrides):
        folder = tmp_path / f'train{channels}'
        if not folder.is_dir():
            Runner.from_cfg(toy.config(folder, channels=channels)).train()
        cfg = toy.config(tmp_path / 'fit', channels=channels, **overrides)
        cfg.load_from = str(folder / 'epoch_3.pth')
        return cfg

    return make


@CHANNELS
def test_logits_are_those_of_a_validation(trained, channels):
    """Of every image once, never of the test set, never of divided logits."""
    cfg = trained(channels)
    cfg.test_dataloader.dataset.data_root = 'not/there'
    cfg.custom_hooks.append(dict(type='TemperatureHook', temperature=9.0))
    before = cfg.pretty_text
    histogram, num_images = collect_logits(cfg)
    assert cfg.pretty_text == before
    runner = Runner.from_cfg(trained(channels))
    scores = Scores()
    runner.register_hook(scores)
    figures = runner.val()
    assert num_images == 5
    assert histogram.count == scores.histogram.count == 5 * 16 * 16
    assert histogram.nll() == pytest.approx(figures['calib/nll'], abs=2.5e-4)
    assert histogram.ece() == pytest.approx(figures['calib/ece'], abs=3e-3)
    expected = fit_temperature(scores.histogram)
    assert fit_temperature(histogram) == pytest.approx(expected, rel=1e-4)


@NAMES
def test_other_temperature_hooks_are_replaced(trained, name):
    expected, _ = collect_logits(trained())
    cfg = trained()
    cfg.custom_hooks.append(dict(type=name, temperature=9.0))
    histogram, _ = collect_logits(cfg)
    assert torch.equal(histogram.counts, expected.counts)
    apply_temperature(cfg, '2.5')
    assert cfg.custom_hooks[1:] == [dict(type='TemperatureHook', temperature=2.5)]


def test_nothing_is_written_of_validation_images(trained, tmp_path):
    cfg = trained()
    cfg.custom_hooks.append(dict(type='ProbMapHook', out_dir=str(tmp_path / 'maps')))
    cfg.default_hooks.visualization = dict(
        type='SegVisualizationHook', draw=True, interval=1
    )
    cfg.visualizer = dict(
        type='SegLocalVisualizer',
        vis_backends=[dict(type='LocalVisBackend')],
        save_dir=str(tmp_path / 'shown'),
    )
    assert collect_logits(cfg)[1] == 5
    assert not list(tmp_path.rglob('maps/*')) and not list(
        tmp_path.rglob('shown/**/*.png')
    )


def test_pixels_to_be_ignored_are_those_of_the_metric(trained, toy):
    cfg = trained()
    cfg.val_dataloader.dataset.pipeline[1] = dict(type='LoadAnnotations')
    for path in (toy.root / 'val' / 'masks').iterdir():
        mask = np.asarray(Image.open(path)) // 255
        mask[0, :7] = 9
        Image.fromarray(mask).save(path)
    with pytest.raises(ValueError, match='holds 9'):
        collect_logits(cfg)
    metrics = [dict(type='IoUMetric'), dict(type='CalibrationMetric', ignore_index=9)]
    for evaluator in (metrics, metrics[1]):
        cfg.val_evaluator = evaluator
        assert collect_logits(cfg)[0].count == 5 * (256 - 7)


def test_images_in_other_sizes_are_counted_in_their_own(trained):
    cfg = trained()
    resize = dict(type='Resize', scale=(24, 24))
    cfg.val_dataloader.dataset.pipeline.insert(1, resize)
    assert collect_logits(cfg)[0].count == 5 * 16 * 16


@CHANNELS
def test_record(trained, tmp_path, channels):
    cfg = trained(channels)
    record = fit_checkpoint(cfg)
    path = tmp_path / f'train{channels}' / 'epoch_3.pth.temperature.json'
    assert json.loads(path.read_text()) == record
    assert record['nll']['after'] < record['nll']['before']
    assert record['ece']['after'] != record['ece']['before']
    assert record['num_images'] == 5 and record['num_pixels'] == 1280
    assert record['checkpoint'] == 'epoch_3.pth'
    out = tmp_path / 'new' / 'folder' / 't.json'
    fit_checkpoint(cfg, str(out))
    assert json.loads(out.read_text())['temperature'] == record['temperature']


def by_band(cfg):
    return collect_logits(cfg, 'border')[0]


@CHANNELS
def test_record_by_region(trained, channels):
    """The single temperature stays what it is without regions."""
    plain = fit_checkpoint(trained(channels))
    record = fit_checkpoint(trained(channels), regions='border')
    regions = record.pop('regions')
    for key in plain.keys() - {'date'}:
        assert record[key] == plain[key]
    fitted = fit_border_temperatures(by_band(trained(channels)))
    assert BorderTemperatures.from_record(regions) == fitted
    assert sum(regions['pixels']) == 1280
    for key in ('nll', 'ece'):
        assert regions[key]['before'] == pytest.approx(plain[key]['before'])
        assert regions[key]['single'] == pytest.approx(plain[key]['after'])
    nll = regions['nll']
    assert nll['after'] < nll['single'] < nll['before']
    for when in ('before', 'single', 'after'):
        assert regions['nll_band'][when][0:3:2] == [None, None]  # pixels of 4 units
    cfg = trained(channels)
    assert read_temperature(cfg.load_from) == fitted
    assert apply_temperature(cfg, '') == fitted
    assert cfg.custom_hooks[-1].temperature == fitted.record()
    assert apply_temperature(cfg, '', regions=False) == plain['temperature']
    assert cfg.custom_hooks[-1].temperature == plain['temperature']
    text = fit_summary({**record, 'regions': regions})
    assert f'temperature {plain["temperature"]:.6g} from 5' in text
    assert 'beyond' in text and f'{fitted.temperatures[-1]:.4f}' in text
    with pytest.raises(ValueError, match="not 'size'"):
        fit_checkpoint(trained(channels), regions='size')


def test_a_test_set_of_the_same_images_is_warned_of(trained, toy, tmp_path):
    cfg = trained()
    for split, warned in (('val', True), ('train', False)):
        cfg.test_dataloader.dataset.data_root = str(toy.root / split) + '/'
        cfg.test_dataloader.dataset.test_mode = True
        cfg.work_dir = str(tmp_path / f'on_{split}')
        fit_checkpoint(cfg)
        (log,) = (tmp_path / f'on_{split}').rglob('*.log')
        message = 'test_dataloader has the images of val_dataloader'
        assert (message in log.read_text()) == warned


def test_logits_beyond_the_ends_are_fitted(trained, tmp_path):
    """Logits so large that most lie beyond the ends of the histogram."""
    cfg = trained()
    state = torch.load(cfg.load_from, weights_only=False)
    for name in ('weight', 'bias'):
        state['state_dict'][f'decode_head.conv_seg.{name}'] *= 2000
    torch.save(state, cfg.load_from)
    record = fit_checkpoint(cfg)
    assert record['temperature'] > 1
    assert read_temperature(cfg.load_from) == record['temperature']


def test_what_is_given_is_applied(trained, tmp_path):
    cfg = trained()
    for _ in range(2):  # the second replaces the first
        assert apply_temperature(cfg, '2.5') == 2.5
    hooks = [h for h in cfg.custom_hooks if h.type == 'TemperatureHook']
    assert hooks == [dict(type='TemperatureHook', temperature=2.5)]
    with pytest.raises(ValueError, match=r'temperature must be a number in .*, got -1'):
        apply_temperature(cfg, '-1')
    with pytest.raises(FileNotFoundError, match='no temperature at'):
        apply_temperature(cfg, '')
    record = fit_checkpoint(cfg)
    assert apply_temperature(cfg, '') == record['temperature']
    path = f'{cfg.load_from}.temperature.json'
    assert apply_temperature(cfg, path) == record['temperature']


def test_validation_sets_that_do_not_serve(trained):
    cfg = trained()
    cfg.val_dataloader.dataset.empty_masks = True
    cfg.val_dataloader.dataset.data_prefix = dict(img_path='images')
    with pytest.raises(ValueError, match='all 1280 pixels are background'):
        fit_checkpoint(cfg)
    cfg = trained()
    del cfg.val_dataloader.dataset.pipeline[1]
    with pytest.raises(ValueError, match='no gt_sem_seg'):
        fit_checkpoint(cfg)
    cfg = trained()
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    with pytest.raises(ValueError, match='no val_dataloader'):
        fit_checkpoint(cfg)
    cfg = trained()
    cfg.load_from = 'torchvision://resnet50'
    with pytest.raises(ValueError, match='local file'):
        fit_checkpoint(cfg)


def test_a_set_that_the_network_separates(trained, toy):
    """The mask of an image is what the network predicts on it."""

    class Rewrite(Hook):
        def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            prob = outputs[0].seg_logits.data[0]
            self.middle = prob.median().logit()
            mask = 255 * (prob > prob.median()).numpy().astype(np.uint8)
            path = toy.root / 'val' / 'masks' / os.path.basename(outputs[0].img_path)
            Image.fromarray(mask).save(path)

    cfg = trained()
    cfg.val_dataloader.dataset.indices = [0]
    runner = Runner.from_cfg(cfg)
    rewrite = Rewrite()
    runner.register_hook(rewrite)
    runner.val()
    state = torch.load(cfg.load_from, weights_only=False)
    state['state_dict']['decode_head.conv_seg.bias'] -= rewrite.middle + 1e-5
    torch.save(state, cfg.load_from)
    with pytest.raises(ValueError, match='separates the validation pixels'):
        fit_checkpoint(cfg)


def test_more_than_two_classes_are_refused(toy, tmp_path):
    overrides = {
        'model.decode_head.num_classes': 3,
        'model.decode_head.loss_decode': dict(_delete_=True, type='CrossEntropyLoss'),
        'custom_hooks': [],
    }
    cfg = toy.config(tmp_path / 'run', channels=2, **overrides)
    weights = Runner.from_cfg(cfg).model.state_dict()
    torch.save(dict(state_dict=weights), tmp_path / 'x.pth')
    cfg.load_from = str(tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='gives 3 channels'):
        fit_checkpoint(cfg)


def test_several_processes_count_every_image_once(trained, tmp_path):
    cfg = trained()
    one, _ = collect_logits(cfg)
    bands = by_band(cfg)
    cfg.launcher = 'pytorch'
    # None instead of the CUDA device that the host would take.
    cfg.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None)
    path, out = tmp_path / 'ranks.py', tmp_path / 'ranks'
    cfg.dump(path)
    # Not at the top: the processes run this file, and find no tests to import from.
    from tests.scripts import Script

    ranks = [
        Script(__file__, path, rank, out, cwd=tmp_path, GLOO_SOCKET_IFNAME='lo')
        for rank in range(2)
    ]
    failed = [done.stderr for done in (r.wait() for r in ranks) if done.returncode]
    assert not failed, '\n'.join(failed)[-6000:]
    for rank in range(2):
        seen = torch.load(f'{out}.{rank}')
        assert seen['num_images'] == 5
        assert seen['wrapped'] == 'MMDistributedDataParallel'
        assert int(seen['counts'].sum()) == one.count
        # Other batches: a logit may land on the other side of the edge of a cell.
        assert (seen['counts'] - one.counts).abs().sum() <= 4
        assert abs(int(seen['wrong'] - one.wrong)) <= 1e-5 * int(one.wrong)
        assert seen['divided'] < seen['plain']
        assert seen['by_region'] < seen['plain']
        assert int(seen['bands'][-1]) == int(bands.images) == 5
        for both, alone in zip(seen['bands'], bands.sums()):
            if both.dim():
                assert both.sum() == alone.sum()
                assert (both - alone).abs().sum() <= 4


def main():
    config_path, rank, out = sys.argv[1:]
    os.environ.update(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE='2')
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{out}.group', rank=int(rank), world_size=2
    )
    cfg = Config.fromfile(config_path)
    histogram, num_images = collect_logits(cfg)
    seen = dict(counts=histogram.counts, wrong=histogram.wrong, num_images=num_images)
    runner = Runner.from_cfg(cfg)
    seen.update(wrapped=type(runner.model).__name__, plain=runner.test()['calib/conf'])
    apply_temperature(cfg, '5')
    cfg.experiment_name += '_divided'
    seen['divided'] = Runner.from_cfg(cfg).test()['calib/conf']
    regions = BorderTemperatures([5] * 5).record()
    cfg.custom_hooks[-1].temperature = regions
    cfg.experiment_name += '_by_region'
    seen['by_region'] = Runner.from_cfg(cfg).test()['calib/conf']
    seen['bands'] = by_band(Config.fromfile(config_path)).sums()
    torch.save(seen, f'{out}.{rank}')
    torch.distributed.destroy_process_group()


if __name__ == '__main__':
    main()
