"""The doctor builds a config and checks what was built; so does a training."""

import copy
from types import SimpleNamespace

import pytest
from mmengine.hooks import Hook
from mmseg.registry import TRANSFORMS
from PIL import Image
from torch.utils.data import DataLoader

from mmaslp.integrations.mmseg.checks import run
from mmaslp.integrations.mmseg.checks.run import check_batches, check_hooks, check_masks
from mmaslp.integrations.mmseg.checks.settings import check_settings
from mmaslp.integrations.mmseg.config import build_runner
from mmaslp.integrations.mmseg.doctor import check_parts
from mmaslp.integrations.mmseg.training import prepare_training


def findings_of(cfg):
    """What the doctor finds in a config, and the config as its patch makes it."""
    mended = copy.deepcopy(cfg)
    findings = [*check_settings(mended), *check_parts(mended)]
    return findings, mended


def words_of(cfg, *levels):
    findings, _ = findings_of(cfg)
    return '\n'.join(str(f) for f in findings if not levels or f.level in levels)


def head(**changes):
    return lambda cfg: cfg.model.decode_head.update(changes)


def setting(path, value):
    def change(cfg):
        *names, last = path.split('.')
        for name in names:
            cfg = cfg[int(name)] if name.isdigit() else cfg[name]
        cfg[last] = value

    return change


CHANNELS = dict(out_channels=1, num_classes=2, threshold=0.5)
THRESHOLD = dict(type='OHEMPixelSampler', thresh=0.7)
CROSS_ENTROPY = dict(type='CrossEntropyLoss')
SIGMOID = dict(type='CrossEntropyLoss', use_sigmoid=True)

# What the patch puts right: the level, the words, and the head that comes out.
MENDED = {
    'channels': (
        head(out_channels=7, num_classes=7),
        'error',
        'model.decode_head has 7 channels',
        CHANNELS,
    ),
    'threshold': (
        head(threshold=0.3),
        'warning',
        'calls a pixel foreground above 0.3',
        CHANNELS,
    ),
    'no threshold': (
        head(threshold=None),
        'warning',
        'calls a pixel foreground above 0.3',
        CHANNELS,
    ),
    'a threshold, without ASLP': (
        head(threshold=None, loss_decode=SIGMOID),
        'warning',
        'calls a pixel foreground above 0.3',
        CHANNELS,
    ),
    'a softmax of one channel': (
        head(loss_decode=CROSS_ENTROPY),
        'error',
        'takes a softmax over one channel',
        {'loss_decode': dict(type='SCBCELoss')},
    ),
    'two sigmoids': (
        head(out_channels=2, loss_decode=SIGMOID),
        'warning',
        'has two channels without a background',
        {'loss_decode': dict(type='SCBCELoss')},
    ),
    'two channels of a softmax': (
        head(out_channels=2, loss_decode=CROSS_ENTROPY),
        'note',
        'its two channels stay, and SCBCELoss takes their softmax',
        {'out_channels': 2, 'loss_decode': dict(type='SCBCELoss')},
    ),
    'sampler': (
        head(sampler=THRESHOLD),
        'error',
        'takes a softmax over the channels',
        dict(out_channels=2),
    ),
    'other loss': (
        head(loss_decode=[SIGMOID, dict(type='DiceLoss', loss_weight=3.0)]),
        'note',
        'model.decode_head trains with CrossEntropyLoss, DiceLoss',
        {'loss_decode': dict(type='SCBCELoss')},
    ),
    'a class that is ignored': (
        head(ignore_index=0),
        'error',
        'model.decode_head.ignore_index leaves all pixels of a class',
        dict(ignore_index=255),
    ),
    'an argument of the loss of the base': (
        setting('model.decode_head.loss_decode.use_sigmoid', False),
        'error',
        'SCBCELoss has no use_sigmoid',
        {'loss_decode': dict(type='SCBCELoss')},
    ),
}


@pytest.mark.parametrize('case', MENDED)
def test_what_the_patch_puts_right(toy, tmp_path, case):
    change, level, words, expected = MENDED[case]
    cfg = toy.config(tmp_path / 'run')
    change(cfg)
    before = copy.deepcopy(cfg.to_dict())
    assert words in words_of(cfg, level)
    _, mended = findings_of(cfg)
    assert cfg.to_dict() == before
    for key, value in expected.items():
        assert mended.model.decode_head.get(key) == value
    assert words_of(mended, level) == words_of(toy.config(tmp_path / 'run'), level)


def test_levels_of_none_end_no_doctor_and_a_metric_is_added(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    cfg.custom_hooks = [dict(type='ASLPHook', levels='none')]
    cfg.val_evaluator = dict(type='IoUMetric')
    found = words_of(cfg, 'error')
    assert 'custom_hooks: levels' in found
    assert 'no CalibrationMetric in val_evaluator' in found
    _, mended = findings_of(cfg)
    assert [m.type for m in mended.val_evaluator] == ['CalibrationMetric', 'IoUMetric']


@pytest.mark.parametrize('hooks', [[], [dict(type='CalibratorHook')]])
def test_cross_entropy_needs_no_metric_of_ours(toy, tmp_path, hooks):
    cfg = toy.config(tmp_path / 'run', custom_hooks=hooks)
    cfg.model.decode_head.loss_decode = SIGMOID
    cfg.val_evaluator = cfg.test_evaluator = [dict(type='IoUMetric')]
    assert 'no CalibrationMetric in val_evaluator' in words_of(cfg, 'note')
    assert not words_of(cfg, 'error')


def test_a_training_too_short_for_levels_gets_binary_cross_entropy(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[])
    cfg.model.decode_head.loss_decode = SIGMOID
    loader = cfg.train_dataloader
    plain = loader.dataset
    for loader.dataset in (plain, dict(type='RepeatDataset', times=9, dataset=plain)):
        warnings = words_of(cfg, 'warning')
        assert 'epochs are too few' in warnings
        assert '8 epochs or more' in warnings
        assert ('RepeatDataset(times=1)' in warnings) == (loader.dataset != plain)
    cfg.train_cfg.max_epochs = 8
    assert 'epochs are too few' not in words_of(cfg, 'warning')
    cfg.train_cfg.max_epochs = 3
    assert 'the patch trains without levels' in words_of(cfg, 'note')
    _, mended = findings_of(cfg)
    assert mended.custom_hooks == [dict(type='ASLPHook', levels=None)]


def test_a_config_without_aslp_gets_levels_by_image_and_band(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', auxiliary=True)
    cfg.custom_hooks = []
    cfg.model.decode_head.loss_decode = SIGMOID
    cfg.model.auxiliary_head.loss_decode = dict(SIGMOID, loss_weight=0.4)
    cfg.train_cfg.max_epochs = 60
    cfg.train_cfg.val_interval = 10
    found = words_of(cfg)
    assert 'trains without ASLPHook' in found
    assert "the patch adds it with levels='image_band'" in found
    assert 'train_cfg.val_interval is 10' in found
    _, mended = findings_of(cfg)
    assert mended.custom_hooks == [dict(type='ASLPHook', levels='image_band')]
    assert mended.train_cfg.val_interval == 1
    assert mended.model.auxiliary_head.loss_decode == dict(
        type='SCBCELoss', loss_weight=0.4
    )


def test_heads_without_a_label_of_each_pixel_get_no_levels(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[])
    cfg.model.decode_head.type = 'Mask2FormerHead'
    cfg.model.decode_head.loss_decode = SIGMOID
    assert 'Mask2FormerHead compares queries' in words_of(cfg, 'error')
    assert 'ASLP' not in words_of(cfg)
    assert findings_of(cfg)[1].custom_hooks == []


def test_masks_of_0_and_255(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    for split in ('train', 'val', 'test'):
        pipeline = cfg[f'{split}_dataloader'].dataset.pipeline
        pipeline[1] = dict(type='LoadAnnotations')
    assert words_of(cfg, 'error').count('all objects are left out of losses') == 3
    assert not words_of(findings_of(cfg)[1], 'error')


def test_epochs_that_never_end(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    cfg.train_dataloader.sampler.type = 'InfiniteSampler'
    assert 'train_dataloader never ends' in words_of(cfg, 'error')
    sampler = findings_of(cfg)[1].train_dataloader.sampler
    assert sampler == dict(type='DefaultSampler', shuffle=True)


def test_notes_of_a_large_scale_and_of_few_images(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    for path in (toy.root / 'val').glob('*/04.png'):
        path.unlink()
    cfg.train_dataloader.dataset.pipeline.insert(
        2, dict(type='Resize', scale=(64, 48), keep_ratio=False)
    )
    said = words_of(cfg, 'note')
    assert 'makes the first image 4 times as wide or high' in said
    assert 'val_dataloader.dataset has too few images (4)' in said


def test_what_a_run_does_not_use_is_no_error(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', tta_model=dict(type='SegTTAModel'))
    assert not words_of(cfg, 'error')
    assert 'applies the sigmoid twice' in words_of(cfg, 'note')
    assert findings_of(cfg)[1].tta_model.type == 'BinarySegTTAModel'


@pytest.mark.parametrize('imports', [['mmaslp'], 'mmaslp'])
def test_imports_that_only_we_can_read(toy, tmp_path, imports):
    cfg = toy.config(tmp_path / 'run')
    cfg.custom_imports = imports
    assert "MMSegmentation's own tools end with a TypeError" in words_of(cfg, 'warning')
    assert findings_of(cfg)[1].custom_imports == dict(imports=['mmaslp'])


def without_validation(cfg):
    for part in ('dataloader', 'cfg', 'evaluator'):
        cfg.pop(f'val_{part}')


CASES = {
    'argument of a loss': (
        setting('model.decode_head.loss_decode.beta', 'XX'),
        'beta',
    ),
    'unknown type': (
        setting('custom_hooks.0.type', 'ASLPHok'),
        'ASLPHok is not in the',
    ),
    'batch size': (setting('train_dataloader.batch_size', 0), 'train_dataloader: '),
    'workers': (setting('val_dataloader.num_workers', -1), 'val_dataloader: '),
    'a loader without anything': (setting('train_dataloader', {}), 'train_dataloader'),
    'a data set in words': (
        setting('train_dataloader.dataset', 'x'),
        "train_dataloader.dataset: a data set must be a dict, got 'x'",
    ),
    'no image to read': (
        lambda cfg: cfg.train_dataloader.dataset.pipeline.reverse(),
        'KeyError: ',
    ),
    'a folder without a checkpoint': (
        lambda cfg: cfg.update(load_from=cfg.train_dataloader.dataset.data_root),
        'load_from: no checkpoint at ',
    ),
    'a batch above the set': (
        lambda cfg: cfg.train_dataloader.update(batch_size=99, drop_last=True),
        'train_dataloader gives no batch',
    ),
    'a validation of a part of its images': (
        lambda cfg: cfg.val_dataloader.update(batch_size=2, drop_last=True),
        'val_dataloader leaves images out',
    ),
    'a validation as endless as a training': (
        setting('val_dataloader.sampler.type', 'InfiniteSampler'),
        'val_dataloader never ends',
    ),
    'a flip of the masks of a test': (
        lambda cfg: cfg.test_dataloader.dataset.pipeline.insert(
            2, dict(type='RandomFlip', prob=0.5)
        ),
        'test_dataloader.dataset: RandomFlip changes the masks too',
    ),
    'a flip before a resize': (
        lambda cfg: cfg.test_dataloader.dataset.pipeline.__setitem__(
            slice(2, 2),
            [dict(type='RandomFlip', prob=0.5), dict(type='Resize', scale=(16, 16))],
        ),
        'error:   test_dataloader.dataset: RandomFlip changes the masks too',
    ),
    'a validation whose masks are loaded before they are resized': (
        lambda cfg: cfg.val_dataloader.dataset.pipeline.insert(
            2, dict(type='Resize', scale=(16, 16))
        ),
        'val_dataloader.dataset: Resize changes the masks too',
    ),
    'a test without masks': (
        lambda cfg: cfg.test_dataloader.dataset.pipeline.pop(1),
        'test_dataloader.dataset: no step of its pipeline loads masks',
    ),
    'labels of which the background is ignored': (
        lambda cfg: [
            cfg.train_dataloader.dataset.update(
                type='BaseSegDataset',
                reduce_zero_label=True,
                seg_map_suffix='.png',
                img_suffix='.png',
            ),
            cfg.train_dataloader.dataset.pipeline[1].update(
                type='LoadAnnotations', reduce_zero_label=True
            ),
        ],
        'by reduce_zero_label the background is left out',
    ),
    'an epoch that is longer than a training': (
        lambda cfg: setting(
            'train_dataloader.dataset',
            dict(
                type='RepeatDataset', times=40000, dataset=cfg.train_dataloader.dataset
            ),
        )(cfg),
        'one epoch goes through the training images 40,000 times',
    ),
    'weights that are not there': (
        setting('model.backbone.init_cfg', dict(type='Pretrained', checkpoint='x.pth')),
        'error:   model.backbone.init_cfg.checkpoint: there is no file ',
    ),
    'a wrapper that the data set does not fit': (
        lambda cfg: setting(
            'train_dataloader.dataset',
            dict(
                type='ClassBalancedDataset',
                oversample_thr=0.1,
                dataset=copy.deepcopy(cfg.train_dataloader.dataset),
            ),
        )(cfg),
        'train_dataloader: ClassBalancedDataset: ',
    ),
    'no data': (
        setting('train_dataloader.dataset.data_root', 'nowhere'),
        'train_dataloader.dataset: there is no ',
    ),
    'a hook more than that of the base': (
        lambda cfg: cfg.custom_hooks.append(dict(type='ASLPHook', levels='band')),
        'there are two ASLPHooks',
    ),
    'no validation at all': (
        lambda cfg: [
            cfg.pop(f'val_{key}') for key in ('dataloader', 'cfg', 'evaluator')
        ],
        'ASLPHook needs a validation',
    ),
}


@pytest.mark.parametrize('case', CASES)
def test_what_the_user_has_to_put_right(toy, tmp_path, case):
    change, expected = CASES[case]
    cfg = toy.config(tmp_path / 'run')
    change(cfg)
    assert expected in words_of(cfg, 'error', 'warning')
    assert not (tmp_path / 'run').exists()


def test_a_training_by_iterations_may_sample_without_end(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', by_epoch=False)
    cfg.train_dataloader.dataset = dict(
        type='RepeatDataset', times=40000, dataset=cfg.train_dataloader.dataset
    )
    said = words_of(cfg)
    assert 'never ends' not in said
    assert 'one epoch' not in said


def test_training_masks_without_an_object(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    masks = sorted((toy.root / 'train' / 'masks').iterdir())
    for path in masks[:-1]:
        Image.new('L', (16, 16)).save(path)
    assert not words_of(cfg, 'error')
    for grey, lacking in ((0, 'foreground'), (255, 'background')):
        for path in masks:
            Image.new('L', (16, 16), grey).save(path)
        expected = f'none of the training masks has a pixel of {lacking}'
        assert expected in words_of(cfg, 'error')
        with pytest.raises(ValueError, match='there is nothing to learn'):
            prepare_training(cfg)


@TRANSFORMS.register_module()
class DropsMask:
    """As a user's own transform; what it does its name does not tell."""

    def __call__(self, results):
        results.pop('gt_seg_map')
        results['seg_fields'] = []
        return results


def test_the_doctor_reads_a_sample_where_names_do_not_tell(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    steps = ('LoadImageFromFile', 'LoadBinaryAnnotations', 'DropsMask')
    cfg.train_dataloader.dataset.pipeline = [
        dict(type=name) for name in (*steps, 'PackSegInputs')
    ]
    assert 'its pipeline gives no masks' in words_of(cfg, 'error')


@pytest.mark.parametrize(
    ('names', 'lacking'),
    [
        ([], 'loads images or loads masks or packs both'),
        (['LoadImageFromFile', 'PackSegInputs'], 'loads masks'),
        (['LoadBinaryAnnotations', 'PackSegInputs'], 'loads images'),
    ],
)
def test_a_pipeline_without_a_step_ends_before_the_training(
    toy, tmp_path, names, lacking
):
    cfg = toy.config(tmp_path / 'run')
    cfg.train_dataloader.dataset.pipeline = [dict(type=name) for name in names]
    with pytest.raises(ValueError, match=f'no step of its pipeline {lacking}'):
        prepare_training(cfg)


def test_a_training_is_checked_once(toy, tmp_path, monkeypatch):
    calls = []
    found = run.check_run
    monkeypatch.setattr(run, 'check_run', lambda *args: calls.append(1) or found(*args))
    cfg = toy.config(tmp_path / 'run')
    cfg.custom_hooks.append(dict(type='CalibratorHook'))
    cfg.train_cfg.max_epochs = 2
    prepare_training(cfg).train()
    assert len(calls) == 1


def test_a_good_config(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', auxiliary=True)
    findings, mended = findings_of(cfg)
    assert {f.level for f in findings} <= {'ok', 'note', 'warning'}
    assert [f.message for f in findings if f.level == 'warning'] == [
        '5 of the 5 test images are val images, such as '
        f'{toy.root.resolve()}/val/images/00.png: what is measured on them is not what '
        'the network does on unseen images'
    ]
    assert mended.to_dict() == cfg.to_dict()


@pytest.mark.parametrize(
    'best, rule', [('calib/ece', 'less'), ('calib/acc', None), ('auto', None)]
)
def test_a_metric_that_finds_the_best_checkpoint(toy, tmp_path, best, rule):
    cfg = toy.config(tmp_path / 'run')
    cfg.default_hooks.checkpoint.update(save_best=best, rule=rule)
    assert 'best weights' not in words_of(cfg)
    prepare_training(cfg).train()
    assert [*(tmp_path / 'run').glob('best_*.pth')]


def test_drop_last_where_nothing_is_left(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    cfg.val_dataloader.update(batch_size=1, drop_last=True)
    assert not words_of(cfg, 'error')


def loop_of(loader):
    return SimpleNamespace(dataloader=loader)


def test_a_stream_and_shares_of_processes_may_drop_the_last():
    stream = SimpleNamespace(dataset=iter([]), drop_last=True, sampler=None)
    assert not [*check_batches('val', loop_of(stream))]
    # Two processes of eight images, one of which the sampler has repeated.
    share = DataLoader([0] * 7, 4, drop_last=True, sampler=[0, 2, 4, 6])
    assert not [*check_batches('val', loop_of(share))]
    [finding] = check_batches('val', loop_of(DataLoader([0] * 6, 4, drop_last=True)))
    assert 'leaves images out' in finding.message


def test_hooks_that_monitor_no_metric_of_ours(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    runner = build_runner(cfg)
    runner.register_hook(type('Other', (Hook,), {'monitor': None})())
    assert not [f for f in check_hooks(runner) if f.level == 'error']


class OneImage(list):
    def __init__(self, path, **options):
        super().__init__([path])
        self.pipeline = [type('LoadImageFromFile', (), options)()]

    def get_data_info(self, index):
        return {'img_path': self[index]}


def test_only_images_on_a_disk_are_looked_for():
    [finding] = check_masks('val', OneImage('a.jpg'))
    assert 'there is no a.jpg' in finding.message
    assert not [*check_masks('val', OneImage('http://server/a.jpg'))]
    assert not [*check_masks('val', OneImage('a.jpg', file_client_args={'x': 1}))]


def test_nothing_is_said_of_few_iterations(toy, tmp_path):
    assert 'iterations' not in words_of(toy.config(tmp_path / 'run', by_epoch=False))


def test_a_loss_without_a_hook_is_said(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[])
    assert 'SCBCELoss without ASLPHook' in words_of(cfg, 'note')
    assert not cfg.custom_hooks
    # Levels that are asked for are added.
    notes = [each.message for each in check_settings(cfg, 'image')]
    assert any("the patch adds it with levels='image'" in note for note in notes)
    assert cfg.custom_hooks == [dict(type='ASLPHook', levels='image', rule='MC')]


def test_a_hook_without_its_loss_is_an_error(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    cfg.model.decode_head.loss_decode.type = 'SCBCELos'
    errors = [each for each in check_settings(cfg) if each.level == 'error']
    assert ['SCBCELoss' in each.message for each in errors] == [True]


@pytest.mark.parametrize('weights, kept', [([1.0, 5.0], True), ([1.0] * 19, False)])
def test_the_patch_keeps_weights_of_two_classes(toy, tmp_path, weights, kept):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[])
    head = cfg.model.decode_head
    head.loss_decode = dict(type='CrossEntropyLoss', class_weight=weights)
    assert [*check_settings(cfg)]
    assert head.loss_decode.type == 'SCBCELoss'
    assert ('class_weight' in head.loss_decode) == kept
