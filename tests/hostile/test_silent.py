"""What used to change a figure or a training without a word, and has to be refused."""

import json

import numpy as np
import pytest
from PIL import Image

import mmaslp
from mmaslp.files.map_evaluation import evaluate_maps
from mmaslp.files.prob_maps import MapReader
from mmaslp.files.results import load_result, save_result
from mmaslp.hosts.mmseg.testing import evaluate, test_sets
from mmaslp.hosts.mmseg.training import prepare_training
from mmaslp.report.comparison import compare_results

# One mistake in a component of a config each; its other arguments go through the same
# checks, which tests/test_core/test_argument_checks.py has.
REFUSED = [
    ('SCBCELoss', dict(loss_weight='1'), 'loss_weight .*without quotes'),
    ('CalibrationMetric', dict(bins=10**9), r'bins .*\[1, 4096\]'),
    ('ProbMapHook', dict(out_dir='x', bits='16'), 'bits must be one of 8, 16'),
    ('LoadBinaryAnnotations', dict(graded='False'), 'graded must be True or'),
    ('RandomCenterCrop', dict(border=2.5), 'border must be an integer'),
    ('SODDataset', dict(empty_masks='no', lazy_init=True), 'empty_masks'),
    ('SyntheticSODDataset', dict(size=8, lazy_init=True), 'size must be'),
    ('DilatedFusionNeck', dict(in_channels='48'), 'in_channels'),
]


@pytest.mark.parametrize(('name', 'options', 'words'), REFUSED)
def test_arguments(name, options, words):
    with pytest.raises(ValueError, match=words):
        getattr(mmaslp, name)(**options)


# --- maps -------------------------------------------------------------------------

RAMP = np.linspace(0, 1, 64).reshape(8, 8)


@pytest.fixture(scope='module')
def masks(tmp_path_factory):
    folder = tmp_path_factory.mktemp('masks')
    for i in range(2):
        mask = np.zeros((8, 8), np.uint8)
        mask[:, : 4 + i] = 255
        Image.fromarray(mask).save(folder / f'{i}.png')
    return folder


def write_maps(folder, values):
    """Two maps; only the first one reaches the end of the scale."""
    folder.mkdir()
    for i in range(2):
        kept = np.minimum(values, values.max() // 2) if i else values
        Image.fromarray(kept).save(folder / f'{i}.png')
    return str(folder)


def test_the_scale_of_maps_is_stated_or_clear(masks, tmp_path):
    """tests/test_files/test_prob_maps.py has every kind of map."""
    maps = write_maps(tmp_path / 'maps', (RAMP * 100).astype(np.uint8))
    with pytest.raises(ValueError, match=r'8-bit.*--max-value 100'):
        evaluate_maps(maps, masks, resamples=0)
    result = evaluate_maps(maps, masks, resamples=0, reader=MapReader(100))
    assert result['conf'] > 0.6
    with pytest.raises(ValueError, match='not in'):  # beyond what was stated
        evaluate_maps(maps, masks, resamples=0, reader=MapReader(50))


# --- result files -----------------------------------------------------------------


@pytest.fixture(scope='module')
def results(masks, tmp_path_factory):
    """Text of the results of two folders together."""
    root = tmp_path_factory.mktemp('results')
    both = []
    for name, top in (('one', 255), ('two', 240)):
        maps = write_maps(root / name, (RAMP * top).astype(np.uint8))
        both.append(evaluate_maps(maps, masks, resamples=5, model=name))
    save_result(root / 'both.json', both)
    return (root / 'both.json').read_text()


EDITED = [
    (('images', 'count', 0), [1]),
    (('images', 'names', 0), 7),
    (('images', 'names'), ['0']),
    (('settings', 'bins'), '10'),
    (('settings',), None),
    (('ece',), '0.1'),
    (('ks',), 10**400),
    (('num_images',), 10**400),
]


@pytest.mark.parametrize(('path', 'value'), EDITED)
def test_edited_result_files(path, value, results, tmp_path):
    result, _ = json.loads(results)
    part = result
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    (tmp_path / 'r.json').write_text(json.dumps(result))
    with pytest.raises(ValueError, match=r'r\.json: is not a result file'):
        load_result(tmp_path / 'r.json')


def test_one_of_several_results(results, tmp_path):
    path = str(tmp_path / 'both.json')
    (tmp_path / 'both.json').write_text(results)
    for names in ((None, None), ('one', 'three')):
        with pytest.raises(ValueError, match=r"of 'one', 'two': name one \(--name\)"):
            compare_results(path, path, names=names, resamples=5)
    metrics, images = compare_results(path, path, names=('one', 'two'), resamples=5)
    row = metrics['conf']
    assert images == 2
    assert row['first'] == load_result(path, 'one')[0]['conf'] != row['second']


# --- weights and data of a run ------------------------------------------------------


@pytest.fixture
def checkpoint(toy, tmp_path):
    """A checkpoint of the toy, as a training writes it."""
    from mmengine.runner import Runner

    runner = Runner.from_cfg(toy.config(tmp_path / 'made', custom_hooks=[]))
    runner.save_checkpoint(str(tmp_path), 'x.pth', save_optimizer=False)
    return str(tmp_path / 'x.pth')


def log_of(folder):
    return next(folder.rglob('*.log')).read_text()


def test_a_test_of_other_weights_is_refused(toy, checkpoint, tmp_path):
    cfg = toy.config(
        tmp_path / 'run', channels=2, custom_hooks=[], load_from=checkpoint
    )
    with pytest.raises(ValueError, match=r'does not fit the model.*conv_seg\.weight'):
        evaluate(cfg, test_sets(cfg))


def own_loader(cfg, split):
    """Let the loader of MMSegmentation read the masks."""
    cfg[f'{split}_dataloader'].dataset.pipeline[1] = dict(type='LoadAnnotations')
    return cfg


@pytest.mark.parametrize('split', ['train', 'val'])
def test_masks_whose_objects_are_ignored_in_a_training(split, toy, tmp_path):
    cfg = own_loader(toy.config(tmp_path / 'run', custom_hooks=[]), split)
    with pytest.raises(
        ValueError, match=f'{split}_dataloader.dataset: LoadAnnotations'
    ):
        prepare_training(cfg).train()


def test_masks_whose_objects_are_ignored_in_a_test(toy, checkpoint, tmp_path):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[], load_from=checkpoint)
    own_loader(cfg, 'test')
    with pytest.raises(ValueError, match='all objects are left out'):
        evaluate(cfg, test_sets(cfg))
    from mmengine.runner import Runner  # as the test.py of MMSegmentation

    with pytest.raises(ValueError, match='no pixel of the masks is foreground'):
        Runner.from_cfg(cfg).test()


def test_a_set_without_foreground_is_said(toy, checkpoint, tmp_path):
    for path in (tmp_path / 'toy' / 'val' / 'masks').glob('*.png'):
        Image.new('L', (16, 16)).save(path)
    cfg = toy.config(tmp_path / 'run', custom_hooks=[], load_from=checkpoint)
    evaluate(cfg, test_sets(cfg))
    assert 'no mask has a pixel of foreground' in log_of(tmp_path / 'run')
