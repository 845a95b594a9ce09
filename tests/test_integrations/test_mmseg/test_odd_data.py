"""Weights and masks that do not fit a training or test of MMSegmentation."""

import pytest
from PIL import Image

from mmaslp.integrations.mmseg.testing import evaluate, sets_of_test
from mmaslp.integrations.mmseg.training import prepare_training


@pytest.fixture
def weights(toy, tmp_path):
    """Weights of the toy, as a training saves them."""
    from mmengine.runner import Runner

    runner = Runner.from_cfg(toy.config(tmp_path / 'made', custom_hooks=[]))
    runner.save_checkpoint(str(tmp_path), 'x.pth', save_optimizer=False)
    return str(tmp_path / 'x.pth')


def test_a_test_of_other_weights_is_refused(toy, weights, tmp_path):
    cfg = toy.config(tmp_path / 'run', channels=2, custom_hooks=[], load_from=weights)
    with pytest.raises(ValueError, match=r'\.pth does not fit.*conv_seg\.weight'):
        evaluate(cfg, sets_of_test(cfg))


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


def test_masks_whose_objects_are_ignored_in_a_test(toy, weights, tmp_path):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[], load_from=weights)
    own_loader(cfg, 'test')
    with pytest.raises(ValueError, match='all objects are left out'):
        evaluate(cfg, sets_of_test(cfg))
    from mmengine.runner import Runner  # as the test.py of MMSegmentation

    with pytest.raises(ValueError, match='no pixel of the masks is foreground'):
        Runner.from_cfg(cfg).test()


def log_of(folder):
    return next(folder.rglob('*.log')).read_text()


def test_a_set_without_foreground_is_said(toy, weights, tmp_path):
    for path in (tmp_path / 'toy' / 'val' / 'masks').glob('*.png'):
        Image.new('L', (16, 16)).save(path)
    cfg = toy.config(tmp_path / 'run', custom_hooks=[], load_from=weights)
    evaluate(cfg, sets_of_test(cfg))
    assert 'no mask has a pixel of foreground' in log_of(tmp_path / 'run')
