"""The host's own ways to predict on images that have no mask."""

import numpy as np
from mmengine.runner import Runner
from mmseg.apis import MMSegInferencer, inference_model, init_model

import mmaslp  # noqa: F401


def test_model_and_inferencer(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[])
    Runner.from_cfg(cfg).save_checkpoint(str(tmp_path), 'x.pth', save_optimizer=False)
    cfg.test_pipeline = cfg.test_dataloader.dataset.pipeline
    cfg.visualizer = dict(type='SegLocalVisualizer', name='inference', vis_backends=[])
    cfg.dump(tmp_path / 'config.py')
    config, checkpoint = str(tmp_path / 'config.py'), str(tmp_path / 'x.pth')
    image = str(toy.root / 'val' / 'images' / '00.png')
    sample = inference_model(init_model(config, checkpoint, device='cpu'), image)
    assert sample.pred_sem_seg.data.shape == (1, 16, 16)
    assert set(sample.pred_sem_seg.data.unique().tolist()) <= {0, 1}
    inferencer = MMSegInferencer(config, checkpoint, device='cpu')
    found = np.asarray(inferencer(image, show=False)['predictions'])
    np.testing.assert_array_equal(found, sample.pred_sem_seg.data[0].numpy())
