"""The blocks of docs/lightning.md, run as they stand."""

import functools
import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from examples.pairs import load_splits
from mmaslp import Calibrator

lightning = pytest.importorskip('lightning.pytorch', reason='needs [lightning]')

PAGE = Path(__file__).resolve().parents[3] / 'docs' / 'lightning.md'
pytestmark = [pytest.mark.release, pytest.mark.filterwarnings('ignore')]


def test_the_blocks_run_one_after_the_other(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    splits = load_splits(size=32)
    train, val = (
        [(pairs[k]['image'], pairs[k]['mask']) for k in range(12)]
        for pairs in (splits['train'], splits['val'])
    )
    keep = lightning.callbacks.ModelCheckpoint(tmp_path, save_last=True)
    whole = functools.partial(
        lightning.Trainer,
        accelerator='cpu',
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    monkeypatch.setattr(
        lightning,
        'Trainer',
        lambda callbacks, **options: whole(callbacks=[*callbacks, keep], **options),
    )
    names = dict(
        torch=torch,
        network=nn.Conv2d(3, 1, 3, padding=1),
        images=torch.stack([val[0][0]]),
        loader=DataLoader(train, 4, shuffle=True),
        val_loader=DataLoader(val, 4),
        test_loader=DataLoader(val, 4),
    )
    for block in re.findall(r'```python\n(.*?)```', PAGE.read_text(), re.DOTALL):
        exec(block, names)
    assert names['callback'].levels.validations == 40
    saved = Calibrator.from_dict(names['saved']['calibrator'])
    assert saved.record == names['callback'].calibrator.record
    assert names['calibrator'].record['images'] == 12
    assert (tmp_path / 'calibrator.json').is_file()
