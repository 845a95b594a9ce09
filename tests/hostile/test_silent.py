"""What used to change a figure or a training without a word, and has to be refused.

Each case stands for a kind. The tables say what is given, and which words of the one
message name it.
"""

import json
import re

import numpy as np
import pytest
import torch
from mmaslp.core.measure.border_temperature import BorderTemperatures
from mmaslp.core.measure.logit_histogram import LogitHistogram
from mmaslp.report.maps import evaluate_folders
from mmaslp.report.recalibration import fit_maps, recalibrate_maps
from PIL import Image
from torch import nn

import mmaslp
from mmaslp.core import ASLP, FB, MC, ME, CalibrationHistogram, SelfCalibratingBCE
from mmaslp.core.aslp import Measured, Perturbation
from mmaslp.core.aslp.bank import AlphaBank
from mmaslp.core.measure.bootstrap import check_resampling
from mmaslp.files.masks import read_binary_mask
from mmaslp.files.prepare import prepare_dataset
from mmaslp.files.prob_maps import read_prob_map
from mmaslp.files.results import load_result, save_result
from mmaslp.hosts.mmseg.testing import evaluate, test_sets
from mmaslp.hosts.mmseg.training import prepare_training
from mmaslp.hosts.mmseg.weights import compare_weights
from mmaslp.report.comparison import compare_results
from tests.toy import write_images

IDS = ['a.png', 'b.png']
NAN, INF = float('nan'), float('inf')


def aslp(**options):
    return ASLP(IDS, **options)


def hook(**options):
    return mmaslp.ASLPHook(**options)


def loss(name='SCBCELoss', **options):
    return getattr(mmaslp, name)(**options)


# From the component and its arguments to words of the message.
REFUSED = [
    # Losses.
    (loss, dict(loss_weight=-1), 'loss_weight'),
    (loss, dict(loss_weight=NAN), 'loss_weight'),
    (loss, dict(loss_weight='1'), 'loss_weight .*without quotes'),
    (loss, dict(loss_weight=True), 'loss_weight .*got True'),
    (loss, dict(loss_name='sc_bce'), "the host trains on no .*'loss_sc_bce'"),
    (loss, dict(loss_name=''), 'loss_name'),
    (loss, dict(per_pixel='False'), 'per_pixel must be True or False'),
    (loss, dict(deterministic='no'), 'deterministic must be True or False'),
    (loss, dict(avg_non_ignore=0), 'avg_non_ignore must be True or False'),
    (loss, dict(ignore_index=255.0), 'ignore_index must be an integer'),
    (loss, dict(ignore_index=True), 'ignore_index must be an integer'),
    (loss, dict(beta=True), 'beta must be a number'),
    (loss, dict(beta='hi'), "beta='hi' is no known"),
    (loss, dict(alpha='0.1'), 'alpha must be a number'),
    (loss, dict(eps=False), r'eps must be a number in \[0, 1\)'),
    (loss, dict(class_weight=['1', '2']), 'class_weight of the background'),
    (loss, dict(class_weight=[True, 2]), 'class_weight of the background'),
    (loss, dict(class_weight='12'), 'class_weight|12'),
    (loss, dict(reduction=None), 'reduction must be one of'),
    (SelfCalibratingBCE, dict(ignore_index='255'), 'ignore_index'),
    (SelfCalibratingBCE, dict(per_pixel=1), 'per_pixel'),
    (Perturbation, dict(name='x', beta=1.0, noise=-1), 'noise'),
    # Learner and rules.
    (aslp, dict(seed=1.0), 'seed must be an integer'),
    (aslp, dict(seed=True), 'seed must be an integer'),
    (aslp, dict(warmup=NAN), 'warmup'),
    (aslp, dict(visits='2'), 'visits'),
    (aslp, dict(alpha=NAN), 'alpha'),
    (aslp, dict(rule=dict(type='MC', gain=1)), "no option 'gain'"),
    (ASLP, dict(ids='a.png'), 'several strings'),
    (AlphaBank, dict(ids='a.png'), 'several strings'),
    (FB, dict(gain=True), 'gain must be a number above 0'),
    (FB, dict(gap=['mean']), 'gap must be one of'),
    (MC, dict(lam='2000'), 'lam'),
    (ME, dict(landmark='0.9'), 'landmark must be one of'),
    (ME, dict(landmark=90), r'landmark .*\[0, 1\]'),
    (Measured, dict(accuracy=True), 'accuracy'),
    (Measured, dict(accuracy=0.9, confidence=95.0), 'confidence .*not per cent'),
    # Hooks.
    (hook, dict(reseed='False'), 'reseed must be True or False'),
    (hook, dict(draw_histogram='no'), 'draw_histogram must be True or False'),
    (hook, dict(seed=0.5), 'seed must be an integer'),
    (hook, dict(seed='3'), 'seed must be an integer'),
    (hook, dict(seed=-1), 'seed must be an integer of at least 0'),
    (hook, dict(log_interval=2.5), 'log_interval must be an integer'),
    (hook, dict(warmup_epochs=True), 'warmup_epochs must be a number'),
    (hook, dict(warmup_iters=INF), 'warmup_iters must be a number'),
    (hook, dict(warmup_epochs='5'), 'warmup_epochs must be a number'),
    (hook, dict(alpha='0'), 'alpha must be a number'),
    (hook, dict(accuracy_key=7), 'accuracy_key must be a text'),
    (hook, dict(rule='fixed', accuracy_key='aAcc'), 'leave accuracy_key out'),
    (hook, dict(rule='MC', gain=1), "no option 'gain'"),
    (hook, dict(rule='FB', lam=2), "no option 'lam'"),
    (hook, dict(rule='MC', landmark='best'), "no option 'landmark'"),
    (hook, dict(rule=dict(type='FB', gain=1), gain=2), 'gain stands both in rule'),
    (hook, dict(export=True), 'export must end in .csv'),
    (mmaslp.TemperatureHook, dict(temperature=2000), r'\[0.000976562, 1024\]'),
    (mmaslp.TemperatureHook, dict(temperature=2**-11), 'temperature'),
    (mmaslp.TemperatureHook, dict(temperature=True), 'temperature'),
    (mmaslp.TemperatureHook, dict(temperature='1.5'), 'temperature'),
    (mmaslp.TemperatureHook, dict(regions='no'), 'regions must be True or False'),
    (mmaslp.TemperatureHook, dict(file=3), 'file must be a text'),
    (BorderTemperatures, dict(temperatures=[1, 1, 1, 1, 1e5]), 'temperature'),
    (mmaslp.ProbMapHook, dict(out_dir='x', bits='16'), 'bits must be one of 8, 16'),
    (mmaslp.ProbMapHook, dict(out_dir='x', bits=8.0), 'bits must be one of 8, 16'),
    (mmaslp.ProbMapHook, dict(out_dir=None), 'out_dir'),
    # Metrics.
    (mmaslp.CalibrationMetric, dict(bins='10'), 'bins must be an integer'),
    (mmaslp.CalibrationMetric, dict(bins=10**9), r'bins .*\[1, 4096\]'),
    (mmaslp.CalibrationMetric, dict(draw='no'), 'draw must be True or False'),
    (mmaslp.CalibrationMetric, dict(resamples=1e3), 'resamples must be an integer'),
    (mmaslp.CalibrationMetric, dict(resamples=10**9), r'resamples .*\[0, 100000\]'),
    (mmaslp.CalibrationMetric, dict(keep_worst=True), 'keep_worst'),
    (mmaslp.CalibrationMetric, dict(ignore_index='255'), 'ignore_index'),
    (mmaslp.CalibrationMetric, dict(keep_results='no'), 'keep_results'),
    (mmaslp.CalibrationMetric, dict(prefix=3), 'prefix must be a text'),
    (mmaslp.CalibrationMetric, dict(mode=0), 'mode must be one of'),
    (CalibrationHistogram, dict(num_classes=2.0), 'num_classes must be an integer'),
    (CalibrationHistogram().compute, dict(bins=True), 'bins must be an integer'),
    (LogitHistogram().ece, dict(bins=0), 'bins must be an integer'),
    (check_resampling, dict(resamples=10, confidence_level=95), 'not per cent'),
    (check_resampling, dict(resamples='9', confidence_level=0.9), 'resamples'),
    (
        check_resampling,
        dict(resamples=9, confidence_level=0.9, seed=-1),
        'seed must be an integer of at least 0',
    ),
    # Data.
    (mmaslp.LoadBinaryAnnotations, dict(graded='False'), 'graded must be True or'),
    (mmaslp.LoadBinaryAnnotations, dict(grey_edge='cut'), 'grey_edge must be one of'),
    (
        mmaslp.LoadBinaryAnnotations,
        dict(grey_edge='ignore', ignore_index=1),
        r'ignore_index .*\[2, 255\]',
    ),
    (mmaslp.RandomCenterCrop, dict(border=2.5), 'border must be an integer'),
    (mmaslp.RandomCenterCrop, dict(border=True), 'border must be an integer'),
    (mmaslp.SODDataset, dict(empty_masks='no', lazy_init=True), 'empty_masks'),
    (mmaslp.SODDataset, dict(reduce_zero_label=None, lazy_init=True), 'reduce_zero'),
    (mmaslp.SODDataset, dict(img_suffix=3, lazy_init=True), 'img_suffix'),
    (
        mmaslp.SyntheticSODDataset,
        dict(num_images=dict(train=2.0), lazy_init=True),
        'num_images of train',
    ),
    (mmaslp.SyntheticSODDataset, dict(wrong_share=8, lazy_init=True), 'wrong_share'),
    (mmaslp.DilatedFusionNeck, dict(in_channels=[4], dilations=[0]), 'dilations'),
    (mmaslp.DilatedFusionNeck, dict(in_channels='48'), 'in_channels'),
]


@pytest.mark.parametrize(('make', 'options', 'words'), REFUSED)
def test_arguments(make, options, words):
    with pytest.raises(ValueError, match=words):
        make(**options)


def test_right_arguments_pass():
    loss(alpha=np.float32(0.25), loss_weight=0, per_pixel=np.True_, class_weight=(1, 2))
    hook(rule=dict(type='FB', gain=1), seed=np.int64(3), warmup_iters=0)
    mmaslp.TemperatureHook(temperature=1024)
    mmaslp.CalibrationMetric(bins=np.int32(15), resamples=0, prefix='my/calib')


def test_another_seed_on_resume_is_said(caplog):
    before, after = aslp(seed=3), aslp(seed=4)
    after.load_state_dict(before.state_dict())
    assert 'the seed 3 of the state, not with the seed 4' in caplog.text
    assert after.seed == 3
    with pytest.raises(ValueError, match=r'state of ASLP is damaged .*steps'):
        after.load_state_dict({**before.state_dict(), 'steps': '7'})


# --- maps -------------------------------------------------------------------------


@pytest.fixture(scope='module')
def masks(tmp_path_factory):
    folder = tmp_path_factory.mktemp('masks')
    for i in range(2):
        mask = np.zeros((8, 8), np.uint8)
        mask[:, : 4 + i] = 255
        Image.fromarray(mask).save(folder / f'{i}.png')
    return folder


def write_maps(folder, values, suffix):
    folder.mkdir()
    for i in range(2):
        kept = values.copy()
        if i:  # only the first map reaches the end of the scale
            kept = np.minimum(kept, kept.max() // 2 if kept.max() > 1 else kept)
        if suffix == 'npy':
            np.save(folder / f'{i}.npy', kept)
        else:
            Image.fromarray(kept).save(folder / f'{i}.{suffix}')
    return str(folder)


RAMP = np.linspace(0, 1, 64).reshape(8, 8)
# From the stored values to the ending, the words of the refusal and what to say.
SCALES = {
    '8-bit 0/1': ((RAMP > 0.5).astype(np.uint8), 'png', '8-bit.*--max-value 1', 1),
    '8-bit per cent': ((RAMP * 100).astype(np.uint8), 'png', '--max-value 100', 100),
    '16-bit 0/1': ((RAMP > 0.5).astype(np.uint16), 'png', '--max-value 1', 1),
    '16-bit to 255': ((RAMP * 255).astype(np.uint16), 'png', '--max-value 255', 255),
    '16-bit below 255': (
        (RAMP * 200).astype(np.uint16),
        'png',
        '--max-value 255',
        255,
    ),
    '12 bits in 16': ((RAMP * 4095).astype(np.uint16), 'png', '4095', 4095),
    'int32 TIFF': (
        (RAMP * 65535).astype(np.int32),
        'tif',
        '32-bit.*--max-value',
        65535,
    ),
    'float per cent': (RAMP * 100, 'npy', r'\[0, 100\].*--max-value 100', 100),
    'float to 255': (RAMP * 255, 'npy', '--max-value', 255),
    'npy of integers': ((RAMP * 255).astype(np.uint8), 'npy', '--max-value', 255),
}


@pytest.mark.parametrize('case', SCALES)
def test_scale_of_maps(case, masks, tmp_path):
    values, suffix, words, top = SCALES[case]
    maps = write_maps(tmp_path / 'maps', values, suffix)
    with pytest.raises(ValueError, match=words):
        evaluate_folders([maps], str(masks), resamples=0)
    with pytest.raises(ValueError, match=words):
        fit_maps(maps, masks, tmp_path / 't.json')
    with pytest.raises(ValueError, match=words):
        recalibrate_maps(maps, tmp_path / 'out', 2.0)
    assert not (tmp_path / 'out').exists()
    (section,) = evaluate_folders(
        [maps], str(masks), resamples=0, max_value=top
    ).values()
    stated = read_prob_map(tmp_path / 'maps' / f'0.{suffix}', top)
    assert 0.7 < stated.max() <= 1 and section['result']['conf'] > 0.6
    with pytest.raises(ValueError, match='not in'):  # beyond what was stated
        evaluate_folders([maps], str(masks), resamples=0, max_value=top / 2)


@pytest.mark.parametrize(
    'values',
    [
        (RAMP > 0.5).astype(np.uint8) * 255,  # hard masks
        np.zeros((8, 8), np.uint8),  # black: the same in every scale
        (RAMP * 120).astype(np.uint8),
        (RAMP * 300).astype(np.uint16),
    ],
)
def test_maps_that_may_be_right(values, masks, tmp_path):
    maps = write_maps(tmp_path / 'maps', values, 'png')
    evaluate_folders([maps], str(masks), resamples=0)


@pytest.mark.parametrize('value', [0, -1, NAN, '255', True])
def test_stated_scale(value, masks):
    with pytest.raises(ValueError, match='max_value'):
        evaluate_folders([str(masks)], str(masks), max_value=value)


# --- result files -----------------------------------------------------------------


@pytest.fixture(scope='module')
def results(masks, tmp_path_factory):
    """Text of the results of two folders together."""
    root = tmp_path_factory.mktemp('results')
    folders = [
        write_maps(root / name, (RAMP * top).astype(np.uint8), 'png')
        for name, top in (('one', 255), ('two', 240))
    ]
    sections = evaluate_folders(folders, str(masks), resamples=5)
    save_result(root / 'both.json', {k: s['result'] for k, s in sections.items()})
    return (root / 'both.json').read_text()


def set_in(result, path, value):
    *parents, last = path
    for key in parents:
        result = result[key]
    result[last] = value


EDITED = [
    (('images', 'right', 0, 9), 10**6, 'right of the image'),
    (('images', 'right', 0, 0), -1, 'right of the image'),
    (('images', 'count', 0, 9), 1.5, 'count of the image table .*no integer'),
    (('images', 'count', 1, 9), 10**6, 'out of its range|fine bins'),
    (('images', 'count', 0), [1], 'shape|not 10 bins|inhomogeneous'),
    (('images', 'conf', 0, 9), 10**6, 'conf of the image'),
    (('images', 'conf', 0, 9), NAN, 'conf of the image'),
    (('images', 'nll', 0), -1.0, 'nll of the image'),
    (('images', 'nll', 0), INF, 'nll of the image'),
    (('images', 'brier', 1), 1e9, 'brier of the image'),
    (('images', 'names', 0), 7, 'no text'),
    (('images', 'names'), ['0'], 'differ in length'),
    (('images', 'narrow', 'images'), [], 'fine bins'),
    (('images', 'narrow', 'number'), 255, 'fine bins'),
    (('images', 'narrow', 'number'), '260', 'number of fine bins'),
    (('images', 'bands', 'sums', 0, 0, 0, 0), 1.5, 'no integer'),
    (('settings', 'bins'), 20, '20 bins'),
    (('settings', 'bins'), '10', 'bins must be an integer'),
    (('settings', 'mode'), 'top', 'mode must be one of'),
    (('settings',), None, 'TypeError'),
    (('acc',), 1.41, r'acc must be a number in \[0, 1\]'),
    (('acc',), 0.123, 'acc is 0.123, but its bins give'),
    (('ece',), '0.1', 'ece must be a number'),
    (('ks',), NAN, 'ks must be a number'),
    (('num_images',), 3, 'num_images is 3'),
    (('num_pixels',), 10, 'num_pixels is 10'),
    (('bins', 'right', 9), 0, 'right of bins'),
    (('bins', 'count'), [1, 2], 'count of bins'),
    (('bands', 'predicted', 'count', 0), 10**6, 'count of bands'),
    (('intervals', 'ece'), [0.9, 0.1], 'interval of ece'),
]


@pytest.mark.parametrize(('path', 'value', 'words'), EDITED)
def test_edited_result_files(path, value, words, results, tmp_path):
    result = json.loads(results)['one']
    set_in(result, path, value)
    (tmp_path / 'r.json').write_text(json.dumps(result))
    with pytest.raises(ValueError, match=rf'r\.json: is no result file.*({words})'):
        load_result(tmp_path / 'r.json')


@pytest.mark.parametrize(
    'text', ['[]', '7', 'null', '{"a": {}}', '[' * 9999, '\xff', '{"images": 3}']
)
def test_other_files(text, tmp_path):
    (tmp_path / 'r.json').write_bytes(text.encode('latin-1'))
    with pytest.raises(ValueError, match=r'r\.json: is no result file'):
        load_result(tmp_path / 'r.json')


def test_one_of_several_results(results, tmp_path):
    path = str(tmp_path / 'both.json')
    (tmp_path / 'both.json').write_text(results)
    with pytest.raises(ValueError, match=r"several results: 'one', 'two'.*--name"):
        compare_results(path, path, resamples=5)
    with pytest.raises(ValueError, match=r"there is no 'three'"):
        compare_results(path, path, names=('one', 'three'), resamples=5)
    comparison = compare_results(path, path, names=('one', 'two'), resamples=5)
    assert comparison.num_images == 2
    row = comparison.metrics['conf']
    assert row['first'] == load_result(path, 'one')[0]['conf'] != row['second']
    single = str(tmp_path / 'one.json')
    (tmp_path / 'one.json').write_text(json.dumps(json.loads(results)['one']))
    load_result(single)
    with pytest.raises(ValueError, match='one result, which has no name'):
        load_result(single, 'one')


# --- weights ----------------------------------------------------------------------


def net(width=4, channels=1, depth=1):
    model = nn.Module()
    layers = [nn.Conv2d(3, width, 1), nn.BatchNorm2d(width)]
    layers += [nn.Conv2d(width, width, 1) for _ in range(depth - 1)]
    model.backbone = nn.Sequential(*layers)
    model.decode_head = nn.Conv2d(width, channels, 1)
    model.auxiliary_head = nn.Conv2d(width, channels, 1)
    return model


def renamed(old, new):
    return {
        key.replace(old, new, 1): value for key, value in net().state_dict().items()
    }


MISFITS = {
    'another width': (net(8).state_dict(), 'have another shape .backbone.0.weight'),
    'two channels for one': (net(channels=2).state_dict(), 'decode_head.weight: .2'),
    'alien keys': ({'stem.weight': torch.zeros(1)}, 'are not in it'),
    'another layout': ({'model': net().state_dict()}, '8 of the .* are not in it'),
    'a part only': (renamed('decode_head', 'head'), '2 of the .* are not in it'),
    'a deeper network': (net(depth=2).state_dict(), '2 of its weights are not in the'),
    'nothing': ({}, 'are not in it'),
}


@pytest.mark.parametrize('case', MISFITS)
def test_weights_that_do_not_fit(case):
    state, words = MISFITS[case]
    for content in (state, {'state_dict': state, 'meta': {}}):
        misfit = compare_weights(net(), content)
        assert misfit
        assert re.search(words, misfit.describe())


def test_weights_that_fit():
    own = net().state_dict()
    assert not compare_weights(net(), own)
    assert not compare_weights(net(), {'state_dict': own, 'ema_state_dict': {}})
    assert not compare_weights(net(), {f'module.{k}': v for k, v in own.items()})
    no_counts = {k: v for k, v in own.items() if 'num_batches_tracked' not in k}
    assert not compare_weights(net(), no_counts)
    no_auxiliary = {k: v for k, v in own.items() if 'auxiliary' not in k}
    assert not compare_weights(net(), no_auxiliary)
    assert not compare_weights(
        net(), {**own, 'decode_head.loss_decode.x': own['decode_head.bias']}
    )


@pytest.fixture
def checkpoint(toy, tmp_path):
    """A checkpoint of the toy, as a training writes it."""
    from mmengine.runner import Runner

    runner = Runner.from_cfg(toy.config(tmp_path / 'made', custom_hooks=[]))
    runner.save_checkpoint(str(tmp_path), 'x.pth', save_optimizer=False)
    return str(tmp_path / 'x.pth')


def test_a_test_of_other_weights_is_refused(toy, checkpoint, tmp_path):
    cfg = toy.config(
        tmp_path / 'run', channels=2, custom_hooks=[], load_from=checkpoint
    )
    with pytest.raises(ValueError, match=r'does not fit the model.*conv_seg\.weight'):
        evaluate(cfg, test_sets(cfg))


def test_a_training_from_other_weights_says_so(toy, checkpoint, tmp_path):
    cfg = toy.config(
        tmp_path / 'run', channels=2, custom_hooks=[], load_from=checkpoint
    )
    runner = prepare_training(cfg)
    runner.load_or_resume()
    log = next((tmp_path / 'run').rglob('*.log')).read_text()
    assert 'load_from does not fit' in log and 'decode_head.conv_seg.bias' in log
    assert 'backbone' not in log.split('load_from does not fit')[1].splitlines()[0]
    cfg = toy.config(tmp_path / 'resumed', channels=2, custom_hooks=[], resume=True)
    cfg.load_from = checkpoint
    runner = prepare_training(cfg)
    with pytest.raises(ValueError, match='does not fit the model of the config'):
        runner.load_or_resume()


# --- data -------------------------------------------------------------------------


def hosts_loader(cfg, *splits):
    for split in splits:
        cfg[f'{split}_dataloader'].dataset.pipeline[1] = dict(type='LoadAnnotations')
    return cfg


def log_of(folder):
    return next(folder.rglob('*.log')).read_text()


@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize('hooks', [[], None])
def test_the_hosts_loader_in_a_training(split, hooks, toy, tmp_path):
    cfg = hosts_loader(toy.config(tmp_path / 'run'), split)
    if hooks is not None:
        cfg.custom_hooks = hooks
    with pytest.raises(
        ValueError, match=f'{split}_dataloader.dataset: LoadAnnotations'
    ):
        prepare_training(cfg).train()


def test_the_hosts_loader_in_a_test(toy, checkpoint, tmp_path):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[], load_from=checkpoint)
    hosts_loader(cfg, 'test')
    with pytest.raises(ValueError, match='all objects are left out'):
        evaluate(cfg, test_sets(cfg))
    from mmengine.runner import Runner  # as the host's own test.py

    with pytest.raises(ValueError, match='no pixel of the masks is foreground'):
        Runner.from_cfg(cfg).test()


def test_label_maps_may_use_the_hosts_loader(toy, checkpoint, tmp_path):
    for path in (tmp_path / 'toy').rglob('masks/*.png'):
        Image.fromarray(np.asarray(Image.open(path)) // 255).save(path)
    cfg = toy.config(tmp_path / 'run', custom_hooks=[], load_from=checkpoint)
    evaluate(hosts_loader(cfg, 'test'), test_sets(cfg))


def test_validation_on_training_images_is_said(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[])
    cfg.val_dataloader.dataset.data_root = cfg.train_dataloader.dataset.data_root
    prepare_training(cfg)
    log = log_of(tmp_path / 'run')
    assert '10 of the 10 val images are train images' in log


def test_a_set_without_foreground_is_said(toy, checkpoint, tmp_path):
    for path in (tmp_path / 'toy' / 'val' / 'masks').glob('*.png'):
        Image.new('L', (16, 16)).save(path)
    cfg = toy.config(tmp_path / 'run', custom_hooks=[], load_from=checkpoint)
    evaluate(cfg, test_sets(cfg))
    assert 'no mask has a pixel of foreground' in log_of(tmp_path / 'run')


def test_prepare_does_not_write_into_its_source(tmp_path):
    write_images(tmp_path / 'mine', 3, seed=0)
    before = sorted(tmp_path.rglob('*'))
    for out in ('mine', 'mine/prepared', './mine/../mine'):
        with pytest.raises(ValueError, match=r'--out .* --source .*another folder'):
            prepare_dataset('folder', [str(tmp_path / 'mine')], str(tmp_path / out))
    assert sorted(tmp_path.rglob('*')) == before


# --- inputs without a pixel, or of another shape ----------------------------------


def test_empty_images_and_shapes_of_labels(tmp_path):
    empty = torch.zeros(2, 1, 0, 4)
    criterion = SelfCalibratingBCE()
    assert criterion(empty, empty[:, 0]) == 0
    assert loss()(empty, empty[:, 0].long()) == 0
    one_hot = torch.zeros(2, 2, 4, 4)
    for label in (one_hot, torch.zeros(2, 4), torch.zeros(1, 4, 4), torch.tensor(1)):
        for each in (criterion, loss()):
            with pytest.raises(ValueError, match=r'label.* of shape'):
                each(torch.zeros(2, 1, 4, 4), label)
    histogram = CalibrationHistogram()
    histogram.update(np.zeros((0, 4)), np.zeros((0, 4), int))
    assert histogram.count == 0 and np.isnan(histogram.compute()['ece'])
    with pytest.raises(ValueError, match='several strings'):
        aslp().draw('a.png', 0)
    (tmp_path / 'x.png').write_bytes(b'')
    with pytest.raises(ValueError, match=r'x\.png: the mask file is empty'):
        read_binary_mask(tmp_path / 'x.png')
