import json
import math
import shutil

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from PIL import Image

import mmaslp  # noqa: F401
from mmaslp.core.measure import BorderTemperatures
from mmaslp.core.measure.border_temperature import divisor
from mmaslp.hosts.mmseg.hooks import TemperatureHook
from mmaslp.hosts.mmseg.temperature import fit_checkpoint
from tests.toy import Toy

CHANNELS = pytest.mark.parametrize('channels', [1, 2])
BY_REGION = BorderTemperatures((4.0, 3.0, 0.4, 7.0), edges=(2.0, 5.0, 9.0))
SLIDE = dict(mode='slide', crop_size=(8, 8), stride=(4, 4))


class Outputs(Hook):
    """Keeps what the evaluator receives."""

    def __init__(self):
        self.samples = []

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.samples += outputs

    after_val_iter = after_test_iter


def noisy(toy):
    """Turn over a tenth of the pixels of the masks: no network is right everywhere."""
    rng = np.random.default_rng(0)
    for path in sorted(toy.root.glob('*/masks/*.png')):
        mask = np.asarray(Image.open(path))
        flip = 255 * (rng.random(mask.shape) < 0.1).astype(np.uint8)
        Image.fromarray(mask ^ flip).save(path)
    return toy


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """A toy data set and a network of each kind that was trained on it with ASLP."""
    root = tmp_path_factory.mktemp('temperature')
    toy = noisy(Toy(root / 'toy'))
    for channels in (1, 2):
        cfg = toy.config(root / f'train{channels}', channels=channels)
        cfg.train_cfg.max_epochs = 12
        cfg.optim_wrapper.optimizer.lr = 0.03
        Runner.from_cfg(cfg).train()
    return root


@pytest.fixture
def trained(root, toy, tmp_path):
    """Make configs that test a copy of a trained network."""
    noisy(toy)

    def make(channels=1, **overrides):
        folder = tmp_path / f'train{channels}'
        if not folder.is_dir():
            shutil.copytree(root / f'train{channels}', folder)
        cfg = toy.config(tmp_path / 'run', channels=channels, **overrides)
        cfg.load_from = str(folder / 'epoch_12.pth')
        return cfg

    return make


def run(cfg, hook=None, stage='test'):
    """Samples and figures of a test, the model afterwards."""
    if hook is not None:
        cfg.custom_hooks.append(dict(type='TemperatureHook', **hook))
    runner = Runner.from_cfg(cfg)
    outputs = Outputs()
    runner.register_hook(outputs)
    figures = getattr(runner, stage)()
    return outputs.samples, figures, runner


def logit(sample):
    """Logit of the foreground."""
    scores = sample.seg_logits.data.double()
    return scores[0].logit() if len(scores) == 1 else scores[1] - scores[0]


def same_as(figures):
    """Equal, with nan for bands that have no pixel."""
    return pytest.approx(figures, rel=0, abs=0, nan_ok=True)


def prediction(sample):
    return sample.pred_sem_seg.data


def views():
    return [
        dict(type='LoadImageFromFile'),
        dict(
            type='TestTimeAug',
            transforms=[
                [dict(type='Resize', scale=size) for size in ((16, 16), (24, 24))],
                [dict(type='RandomFlip', prob=p) for p in (0.0, 1.0)],
                [dict(type='LoadBinaryAnnotations')],
                [dict(type='PackSegInputs')],
            ],
        ),
    ]


def with_views(cfg, tta_model):
    cfg.test_dataloader.dataset.pipeline = views()
    cfg.model = dict(type=tta_model, module=cfg.model)
    return cfg


@CHANNELS
@pytest.mark.parametrize(
    ('temperature', 'test_cfg'),
    [
        (0.3, dict(mode='whole')),
        (2.5, SLIDE),
        (BY_REGION, dict(mode='whole')),
        (BY_REGION, SLIDE),
    ],
    ids=['whole', 'slide', 'by region, whole', 'by region, slide'],
)
def test_logits_are_divided_and_predictions_kept(
    trained, channels, temperature, test_cfg
):
    overrides = {'model.test_cfg': dict(_delete_=True, **test_cfg)}
    if channels == 1:
        overrides['model.decode_head.threshold'] = 0.3
    plain, before, _ = run(trained(channels, **overrides))
    by_region = isinstance(temperature, BorderTemperatures)
    hook = dict(temperature=temperature.record() if by_region else temperature)
    divided, after, runner = run(trained(channels, **overrides), hook)
    assert len(divided) == len(plain) == 5
    found = set()
    for one, two in zip(plain, divided):
        assert torch.equal(prediction(one), prediction(two))
        found |= set(prediction(one).unique().tolist())
        expected = torch.sigmoid(logit(one) / divisor(logit(one), temperature))
        assert torch.allclose(torch.sigmoid(logit(two)), expected, atol=1e-5)
        assert set(two.keys()) == set(one.keys())
    assert found == {0, 1}
    assert after['calib/acc'] == before['calib/acc']
    assert after['calib/conf'] != before['calib/conf']
    assert 'postprocess_result' not in vars(runner.model)


@CHANNELS
@pytest.mark.parametrize('tta_model', ['BinarySegTTAModel', 'SegTTAModel'])
@pytest.mark.parametrize('temperature', [3.0, BY_REGION.record()])
def test_test_time_augmentation(trained, channels, tta_model, temperature):
    overrides = {'model.decode_head.threshold': 0.3} if channels == 1 else {}
    samples = []
    for hook in (None, dict(temperature=temperature)):
        cfg = with_views(trained(channels, **overrides), tta_model)
        found, _, runner = run(cfg, hook)
        samples.append(found)
    for one, two in zip(*samples):
        assert torch.equal(prediction(one), prediction(two))
        assert not torch.equal(one.seg_logits.data, two.seg_logits.data)
        assert set(two.keys()) == set(one.keys())
    assert 'merge_preds' not in vars(runner.model)
    assert 'postprocess_result' not in vars(runner.model.module)


@pytest.mark.parametrize('temperature', [3.0, BY_REGION])
def test_views_are_divided_before_they_are_averaged(trained, temperature):
    """By region each view by its own border."""
    by_region = isinstance(temperature, BorderTemperatures)
    cfg = with_views(trained(), 'BinarySegTTAModel')
    given = temperature.record() if by_region else temperature
    (merged, *_), _, _ = run(cfg, dict(temperature=given))
    total = torch.zeros_like(logit(merged))
    for size in ((16, 16), (24, 24)):
        for flip in (0.0, 1.0):
            cfg = trained()
            cfg.test_dataloader.dataset.pipeline = [
                dict(type='LoadImageFromFile'),
                dict(type='Resize', scale=size),
                dict(type='RandomFlip', prob=flip),
                dict(type='LoadBinaryAnnotations'),
                dict(type='PackSegInputs'),
            ]
            (view, *_), _, _ = run(cfg)
            z = logit(view)
            total += torch.sigmoid(z / divisor(z, temperature))
    assert torch.allclose(merged.seg_logits.data[0].double(), total / 4, atol=1e-5)


@pytest.mark.parametrize('rule', ['FB', 'MC'])
def test_training_goes_on_untouched(toy, tmp_path, rule):
    """Also the validations that the rule reads; only the test afterwards is divided."""
    histories, weights, tests = [], [], []
    for hooks in ([], [dict(type='TemperatureHook', temperature=5.0)]):
        cfg = toy.config(tmp_path / f'run{len(hooks)}')
        cfg.custom_hooks[0].rule = rule
        cfg.custom_hooks += hooks
        runner = Runner.from_cfg(cfg)
        runner.test()  # leaves nothing behind either
        runner.train()
        weights.append(runner.model.state_dict())
        scalars = runner.message_hub.log_scalars
        histories.append(
            {
                key: [row.tolist() for row in scalars[key].data]
                for key in scalars
                if key.startswith(('val/calib', 'train/loss', 'train/alpha'))
            }
        )
        tests.append(runner.test())
    assert 'val/calib/conf' in histories[0] and 'train/loss' in histories[0]
    assert repr(histories[0]) == repr(histories[1])
    for key, value in weights[0].items():
        assert torch.equal(value, weights[1][key])
    assert tests[0]['calib/acc'] == tests[1]['calib/acc']
    assert tests[0]['calib/conf'] > tests[1]['calib/conf']


def test_validation_of_its_own_is_divided(trained):
    _, before, _ = run(trained(), stage='val')
    _, after, runner = run(trained(), dict(temperature=4.0), stage='val')
    assert after['calib/conf'] < before['calib/conf']
    assert 'postprocess_result' not in vars(runner.model)


def test_a_test_that_was_cut_short_is_undone_by_the_next(trained):
    class Break(Hook):
        broken = False

        def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if not self.broken:
                self.broken = True
                raise KeyboardInterrupt

    _, figures, _ = run(trained(), dict(temperature=4.0))
    cfg = trained()
    cfg.custom_hooks.append(dict(type='TemperatureHook', temperature=4.0))
    runner = Runner.from_cfg(cfg)
    runner.register_hook(Break())
    with pytest.raises(KeyboardInterrupt):
        runner.test()
    runner.test_loop.evaluator.metrics[0].results.clear()
    runner.test_loop.evaluator.metrics[0]._reset()
    assert runner.test() == same_as(figures)
    assert 'postprocess_result' not in vars(runner.model)


def test_a_training_that_was_cut_short_is_over(trained):
    class Break(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            raise KeyboardInterrupt

    cfg = trained()
    cfg.custom_hooks.append(dict(type='TemperatureHook', temperature=4.0))
    runner = Runner.from_cfg(cfg)
    runner.register_hook(Break())
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    _, figures, _ = run(trained(), dict(temperature=4.0), stage='val')
    assert runner.val() == same_as(figures)


@pytest.mark.parametrize('stage', ['val', 'test'])
def test_two_hooks_are_refused(trained, stage):
    # The dump that the runner makes of a config cannot format a class.
    cfg = Config(trained().to_dict(), format_python_code=False)
    cfg.custom_hooks.append(dict(type=TemperatureHook, temperature=2.0))
    with pytest.raises(ValueError, match='2 TemperatureHooks'):
        run(cfg, dict(temperature=3.0), stage=stage)


def test_regions_of_the_file(trained):
    record = fit_checkpoint(trained(), regions='border')
    regions = record['regions']
    (sample, *_), figures, runner = run(trained(), {})
    result = runner.test_loop.evaluator.metrics[0].result
    applied = BorderTemperatures.from_record(regions)
    assert result['settings']['temperature'] == applied.record()
    assert figures['calib/nll'] == pytest.approx(regions['nll']['after'], abs=3e-4)
    assert figures['calib/ece'] == pytest.approx(regions['ece']['after'], abs=3e-3)
    (again, *_), same, _ = run(trained(), dict(temperature=regions))
    assert same == same_as(figures)
    assert torch.equal(again.seg_logits.data, sample.seg_logits.data)
    _, single, runner = run(trained(), dict(regions=False))
    assert single['calib/nll'] == pytest.approx(record['nll']['after'], abs=3e-4)
    result = runner.test_loop.evaluator.metrics[0].result
    assert result['settings']['temperature'] == record['temperature']


def test_file_beside_the_checkpoint(trained, tmp_path):
    record = fit_checkpoint(trained())
    hook = dict(temperature=record['temperature'])
    _, expected, _ = run(trained(), hook)
    _, figures, runner = run(trained(), {})
    assert figures == same_as(expected)
    assert figures['calib/nll'] == pytest.approx(record['nll']['after'], abs=3e-4)
    assert figures['calib/ece'] == pytest.approx(record['ece']['after'], abs=3e-3)
    result = runner.test_loop.evaluator.metrics[0].result
    assert result['settings']['temperature'] == record['temperature']
    assert MessageHub.get_current_instance().get_info('temperature') is None

    moved = tmp_path / 'elsewhere.json'
    cfg = trained()
    (tmp_path / 'train1' / 'epoch_12.pth.temperature.json').rename(moved)
    _, figures, _ = run(cfg, dict(file=str(moved)))
    assert figures == same_as(expected)


def test_files_that_do_not_fit(trained, tmp_path):
    with pytest.raises(FileNotFoundError, match='mmaslp fit-temperature CONFIG'):
        run(trained(), {})
    fit_checkpoint(trained())
    path = tmp_path / 'train1' / 'epoch_12.pth.temperature.json'
    other = trained()
    other.load_from = str(tmp_path / 'train1' / 'epoch_11.pth')
    with pytest.raises(ValueError, match=r'fitted to epoch_12\.pth, whose weights'):
        run(other, dict(file=str(path)))
    record = json.loads(path.read_text())
    for content in (
        '{',
        '[1]',
        '{}',
        json.dumps({**record, 'temperature': 0}),
        json.dumps({**record, 'temperature': math.nan}),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match='is no temperature file'):
            run(trained(), {})
    unset = trained()
    unset.load_from = None
    with pytest.raises(ValueError, match='local file, not None'):
        run(unset, {})


def test_file_of_weights_that_were_trained_since(trained):
    fit_checkpoint(trained())
    cfg = trained()
    cfg.custom_hooks.append(dict(type='TemperatureHook'))
    runner = Runner.from_cfg(cfg)
    runner.train()
    with pytest.raises(ValueError, match='trained since load_from'):
        runner.test()


def test_bad_arguments():
    with pytest.raises(ValueError, match='not both'):
        TemperatureHook(temperature=2.0, file='x.json')
    for value in (0, -1, math.inf, math.nan, '2'):
        with pytest.raises(ValueError, match='temperature must be a number in'):
            TemperatureHook(temperature=value)
    with pytest.raises(ValueError, match='unit of the regions'):
        TemperatureHook(temperature={**BY_REGION.record(), 'unit': 'pixels'})


def test_more_than_two_classes_are_refused(toy, tmp_path):
    overrides = {
        'model.decode_head.num_classes': 3,
        'model.decode_head.loss_decode': dict(_delete_=True, type='CrossEntropyLoss'),
        'custom_hooks': [],
    }
    cfg = toy.config(tmp_path / 'run', channels=2, **overrides)
    with pytest.raises(ValueError, match='gives 3 channels'):
        run(cfg, dict(temperature=2.0))
