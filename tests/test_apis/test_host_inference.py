"""The host's own ways to predict on images that have no mask."""

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from mmseg.apis import MMSegInferencer, inference_model, init_model

import mmaslp  # noqa: F401


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
