"""The blocks of docs/integrations.md, run as they stand."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from examples.pairs import BinaryPairs

for library in ('torchmetrics', 'lightning'):
    pytest.importorskip(library, reason='needs the extra [integrations]')

PAGE = Path(__file__).resolve().parents[2] / 'docs' / 'integrations.md'
BLOCKS = re.findall(r'```python\n(.*?)```', PAGE.read_text(), re.DOTALL)
pytestmark = pytest.mark.filterwarnings('ignore')


def test_the_blocks_run_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    train, val = (BinaryPairs.built_in(split, 4, 32) for split in ('train', 'val'))
    network = nn.Conv2d(3, 1, 3, padding=1)
    names = dict(
        torch=torch,
        ids=train.names,
        loader=DataLoader(train, 2, shuffle=True),
        val_loader=DataLoader(val, 2),
        network=network,
        optimizer=torch.optim.Adam(network.parameters()),
        quiet=dict(
            accelerator='cpu',
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        ),
    )
    assert len(BLOCKS) == 4
    for block in BLOCKS:
        exec(block, names)
    assert names['checkpoint']['aslp']['observed_step'] == 4
    assert names['aslp'].aslp.observed_step == 4
    assert names['figures']['val_ece'] == names['ece'].compute()
