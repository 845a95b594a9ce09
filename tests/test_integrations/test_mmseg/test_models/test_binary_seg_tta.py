"""Test-time augmentation, through the host's runner."""

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

import mmaslp  # noqa: F401
from mmaslp.metrics import CalibrationHistogram

SIZES = ((16, 16), (24, 24))
CHANNELS = pytest.mark.parametrize('channels', [1, 2])


class Outputs(Hook):
    """Keeps what the evaluator receives."""

    def __init__(self):
        self.samples = []

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.samples += outputs


def run(cfg):
    runner = Runner.from_cfg(cfg)
    outputs = Outputs()
    runner.register_hook(outputs)
    figures = runner.test()
    return outputs.samples, figures


def scores(sample):
    return sample.seg_logits.data


def foreground(sample):
    """Probability of the foreground, by the host's convention for one view."""
    values = scores(sample).double()
    return values[0] if len(values) == 1 else values.softmax(0)[1]


def view(size, flip):
    return [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=size, keep_ratio=False),
        dict(type='RandomFlip', prob=float(flip)),
        dict(type='LoadBinaryAnnotations'),
        dict(type='PackSegInputs'),
    ]


def all_views():
    augment = dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=size, keep_ratio=False) for size in SIZES],
            [dict(type='RandomFlip', prob=float(flip)) for flip in (False, True)],
            [dict(type='LoadBinaryAnnotations')],
            [dict(type='PackSegInputs')],
        ],
    )
    return [dict(type='LoadImageFromFile'), augment]


@pytest.fixture
def trained(toy, tmp_path):
    """Make configs that test one network, with all views or a single one."""

    def make(channels, pipeline, tta_model=None, name='test'):
        checkpoint = tmp_path / f'{channels}.pth'
        if not checkpoint.is_file():
            cfg = toy.config(tmp_path / 'made', channels=channels, custom_hooks=[])
            made = Runner.from_cfg(cfg)
            torch.nn.init.normal_(made.model.decode_head.conv_seg.weight)
            made.save_checkpoint(str(tmp_path), checkpoint.name, save_optimizer=False)
        cfg = toy.config(tmp_path / name, channels=channels, load_from=str(checkpoint))
        cfg.custom_hooks = []
        cfg.test_evaluator = [dict(type='CalibrationMetric', draw=False)]
        cfg.test_dataloader.dataset.pipeline = pipeline
        if tta_model is not None:
            cfg.model = dict(type=tta_model, module=cfg.model)
        return cfg

    return make


def figures_of(maps, samples):
    histogram = CalibrationHistogram()
    for prob, sample in zip(maps, samples):
        histogram.update(prob, sample.gt_sem_seg.data[0])
    return histogram.compute()


@CHANNELS
def test_views_are_averaged_as_probabilities(trained, channels):
    singles = [run(trained(channels, view(s, f)))[0] for s in SIZES for f in (0, 1)]
    # Not one view must be like another, or the test could not tell them apart.
    assert not torch.allclose(foreground(singles[0][0]), foreground(singles[1][0]))
    means = [torch.stack([*map(foreground, views)]).mean(0) for views in zip(*singles)]

    samples, figures = run(trained(channels, all_views(), 'BinarySegTTAModel'))
    assert len(samples) == len(means) == 5
    for sample, mean, single in zip(samples, means, singles[0]):
        torch.testing.assert_close(foreground(sample), mean, rtol=0, atol=1e-6)
        clear = (mean - 0.5).abs() > 1e-6
        prediction = sample.pred_sem_seg.data
        assert prediction.shape == (1, 16, 16)
        assert torch.equal(prediction[0].bool()[clear], (mean > 0.5)[clear])
        assert torch.equal(sample.gt_sem_seg.data, single.gt_sem_seg.data)
    merged = figures_of(map(foreground, samples), samples)
    for key in ('ece', 'acc', 'conf', 'brier', 'nll'):
        assert figures[f'calib/{key}'] == pytest.approx(merged[key], abs=2e-5)
    last = figures_of(map(foreground, singles[-1]), samples)
    assert abs(merged['conf'] - last['conf']) > 1e-5


def test_threshold_of_the_head_applies_to_the_merged_probability(trained):
    cfg = trained(1, all_views(), 'BinarySegTTAModel')
    cfg.model.module.decode_head.threshold = 0.4
    samples, _ = run(cfg)
    for sample in samples:
        expected = foreground(sample) > 0.4
        assert torch.equal(sample.pred_sem_seg.data[0].bool(), expected)
