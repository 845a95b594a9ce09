"""The host's own ways to predict on images that have no mask."""

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from mmseg.apis import MMSegInferencer, inference_model, init_model

import mmaslp  # noqa: F401
from mmaslp.core.measure.border_temperature import BorderTemperatures, divisor
from mmaslp.hosts.mmseg.temperature import scale_model


@pytest.fixture(params=[1, 2], ids=['sigmoid', 'softmax'])
def trained(request, toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', channels=request.param)
    Runner.from_cfg(cfg).train()
    cfg.test_pipeline = cfg.test_dataloader.dataset.pipeline
    cfg.visualizer = dict(type='SegLocalVisualizer', name='inference', vis_backends=[])
    cfg.dump(tmp_path / 'config.py')
    image = toy.root / 'val' / 'images' / '00.png'
    return str(tmp_path / 'config.py'), str(tmp_path / 'run/epoch_3.pth'), str(image)


def test_model(trained):
    config, checkpoint, image = trained
    model = init_model(config, checkpoint, device='cpu')
    sample = inference_model(model, image)
    assert sample.pred_sem_seg.data.shape == (1, 16, 16)
    assert set(sample.pred_sem_seg.data.unique().tolist()) <= {0, 1}
    (again,) = inference_model(model, [image])
    assert torch.equal(again.seg_logits.data, sample.seg_logits.data)


def test_inferencer(trained):
    config, checkpoint, image = trained
    inferencer = MMSegInferencer(config, checkpoint, device='cpu')
    predictions = inferencer(image, show=False)['predictions']
    expected = inference_model(init_model(config, checkpoint, device='cpu'), image)
    found = np.asarray(predictions)
    np.testing.assert_array_equal(found, expected.pred_sem_seg.data[0].numpy())


def test_scaled_model(trained):
    """Scores of z / T, by region or not, and the predictions of z."""
    config, checkpoint, image = trained
    by_region = BorderTemperatures((5, 4, 3, 2, 0.5))
    plain = inference_model(init_model(config, checkpoint, device='cpu'), image)
    for temperature in (3.0, by_region):
        model = init_model(config, checkpoint, device='cpu')
        scale_model(model, temperature)
        sample = inference_model(model, image)
        assert torch.equal(sample.pred_sem_seg.data, plain.pred_sem_seg.data)
        scores, other = sample.seg_logits.data, plain.seg_logits.data
        if len(scores) == 1:
            scores, z = scores[0].logit(), other[0].logit()
        else:
            scores, z = scores[1] - scores[0], other[1] - other[0]
        expected = z / divisor(z, temperature)
        assert torch.allclose(scores, expected, atol=1e-4)
        with pytest.raises(ValueError, match='scaled already'):
            scale_model(model, temperature)
    inferencer = MMSegInferencer(config, checkpoint, device='cpu')
    scale_model(inferencer.model, by_region)
    found = np.asarray(inferencer(image, show=False)['predictions'])
    np.testing.assert_array_equal(found, plain.pred_sem_seg.data[0].numpy())
