"""What used to change a figure or a training without a word, and has to be refused."""

import pytest
from PIL import Image

import mmaslp
from mmaslp.hosts.mmseg.testing import evaluate, test_sets
from mmaslp.hosts.mmseg.training import prepare_training

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
