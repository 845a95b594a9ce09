"""The blocks of docs/transformers.md, run as they stand, one after the other."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

pytest.importorskip('accelerate')
pytest.importorskip('transformers')
pytest.importorskip('torchvision')

import transformers

from mmaslp import Calibrator, fit_calibrator
from mmaslp.integrations.transformers import calibrated
from tests.transformers_toy import Squares, segformer

PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'transformers.md'
BLOCKS = re.findall(r'```python\n(.*?)```', PAGE.read_text(), re.DOTALL)
FINISHED = dict(fit=0, load=1, use=2, judge=3)
SCORES, TRAINING, EXPORT = 4, 5, 6


def processor():
    """One that gives images as they are, 32 px large."""
    return transformers.SegformerImageProcessor(
        size=dict(height=32, width=32),
        do_rescale=False,
        image_mean=[0.25] * 3,
        image_std=[0.25] * 3,
    )


def pictures(data):
    """Pictures of data, which the processor makes tensors of again."""
    levels = data.images.clamp(-1, 3).permute(0, 2, 3, 1).add(1).mul(63)
    return [Image.fromarray(each.byte().numpy()) for each in levels]


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """Names of the blocks of a finished network."""
    monkeypatch.chdir(tmp_path)
    segformer().save_pretrained('net')
    data = Squares(12)
    names = dict(
        val_loader=torch.utils.data.DataLoader(data, batch_size=4),
        processor=processor(),
        image=Image.fromarray(np.zeros((48, 40, 3), np.uint8)),
        val_pictures=pictures(data),
        val_masks=data.labels,
    )
    exec(BLOCKS[FINISHED['fit']], names)
    names.update(raw=names['model'], images=data.images)
    exec(BLOCKS[FINISHED['load']], names)
    return names


@pytest.mark.filterwarnings('ignore')
def test_a_finished_network(finished):
    assert len(BLOCKS) == 7
    calibrator = Calibrator.load('net/calibrator.json')
    assert calibrator.record['images'] == 12
    assert calibrator.record['network'] is not None
    with torch.no_grad():
        raw = finished['raw'](pixel_values=finished['images']).logits
        found = finished['model'](pixel_values=finished['images']).logits
    raw = nn.functional.interpolate(raw, (32, 32), mode='bilinear')
    torch.testing.assert_close(found, calibrator.wrap(nn.Identity())(raw))

    exec(BLOCKS[FINISHED['use']], finished)
    exec(BLOCKS[FINISHED['judge']], finished)
    assert finished['probability'].shape == (1, 32, 32)
    assert finished['probability_at_full_size'].shape == (48, 40)
    assert finished['objects'].labels.shape == (32, 32)

    function = finished['processor'].post_process_semantic_segmentation
    if 'return_segmentation_scores' not in inspect.signature(function).parameters:
        pytest.skip(f'transformers {transformers.__version__} gives no scores')
    exec(BLOCKS[SCORES], finished)
    assert finished['of_scores'].record['images'] == 12
    assert finished['probability_of_scores'].shape == (48, 40)


@pytest.mark.release
@pytest.mark.filterwarnings('ignore')
def test_an_export(finished):
    runtime = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    images = finished['images']
    exec(BLOCKS[EXPORT].replace('64, 64', '32, 32'), {})  # copied alone
    session = runtime.InferenceSession('net.onnx')
    [given] = session.get_inputs()
    for number in (2, 3):
        [found] = session.run(None, {given.name: images[:number].numpy()})
        with torch.no_grad():
            expected = finished['model'](pixel_values=images[:number]).logits
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)


@pytest.mark.release
def test_a_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = dict(
        model=segformer(),
        train=Squares(8),
        val=Squares(11, seed=1, shift=4),
        Trainer=transformers.Trainer,
        TrainingArguments=transformers.TrainingArguments,
    )
    exec(BLOCKS[TRAINING], names)
    assert names['calibration'].levels.validations == 50
    assert Path('out/calibrator.json').exists()


def test_a_calibrated_model_is_not_calibrated_twice():
    model = segformer()
    calibrator = fit_calibrator(torch.rand(12, 8, 8), torch.rand(12, 8, 8) > 0.5)
    calibrated(model, calibrator)
    with pytest.raises(ValueError, match='not wrapped and contains no wrapped'):
        calibrator.wrap(nn.Sequential(model))
    with pytest.raises(ValueError, match='the network is calibrated already'):
        fit_calibrator(torch.rand(12, 8, 8), torch.ones(12, 8, 8), network=model)
