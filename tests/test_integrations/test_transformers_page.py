"""The blocks of docs/transformers.md, run as they stand."""

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

from mmaslp import fit_calibrator
from mmaslp.integrations.transformers import calibrated
from tests.transformers_toy import Squares, segformer

PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'transformers.md'
BLOCKS = re.findall(r'```python\n(.*?)```', PAGE.read_text(), re.DOTALL)


@pytest.mark.release
def test_the_blocks_run_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = dict(
        model=segformer(),
        train=Squares(8),
        val=Squares(11, seed=1, shift=4),
        processor=transformers.SegformerImageProcessor(size=dict(height=32, width=32)),
        image=Image.fromarray(np.zeros((48, 40, 3), np.uint8)),
        Trainer=transformers.Trainer,
        TrainingArguments=transformers.TrainingArguments,
        SegformerForSemanticSegmentation=transformers.SegformerForSemanticSegmentation,
    )
    assert len(BLOCKS) == 4
    for block in BLOCKS:
        exec(block, names)
    assert names['calibration'].levels.validations == 50
    assert names['probability'].shape == (1, 32, 32)
    assert names['probability_at_full_size'].shape == (48, 40)
    assert names['objects'].labels.shape == (32, 32)


def test_a_calibrated_model_is_not_calibrated_twice():
    model = segformer()
    calibrator = fit_calibrator(torch.rand(12, 8, 8), torch.rand(12, 8, 8) > 0.5)
    calibrated(model, calibrator)
    with pytest.raises(ValueError, match='not wrapped, nor holds one that is'):
        calibrator.wrap(nn.Sequential(model))
