"""The blocks of the pages of toolkits, run as they stand."""

import functools
import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from examples.pairs import BinaryPairs
from mmaslp import SelfCalibratingBCE

DOCS = Path(__file__).resolve().parents[2] / 'docs'
pytestmark = pytest.mark.filterwarnings('ignore')


def run(page, names):
    for block in re.findall(r'```python\n(.*?)```', (DOCS / page).read_text(), re.S):
        exec(block, names)
    return names


@pytest.fixture
def names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    train, val = (BinaryPairs.built_in(split, 12, 32) for split in ('train', 'val'))
    network = nn.Conv2d(3, 1, 3, padding=1)
    loader, val_loader = DataLoader(train, 4, shuffle=True), DataLoader(val, 4)
    images = torch.stack([val[0]['image']])
    given = dict(torch=torch, network=network, images=images)
    return dict(given, loader=loader, val_loader=val_loader)


def test_torchmetrics(names):
    pytest.importorskip('torchmetrics', reason='needs the extra [torchmetrics]')
    names = run('torchmetrics.md', names)
    assert names['figures']['val_ece'] == names['ece'].compute()


def test_lightning(names, monkeypatch, tmp_path):
    lightning = pytest.importorskip('lightning.pytorch', reason='needs [lightning]')
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
    names = run('lightning.md', names)
    assert names['callback'].levels.validations == 30
    assert names['calibrator'].record == names['callback'].calibrator.record
    assert (tmp_path / 'calibrator.json').is_file()


def test_smp_monai_torchvision(names):
    for library in ('segmentation_models_pytorch', 'monai', 'torchvision'):
        pytest.importorskip(library)
    for key in ('loader', 'val_loader'):
        names[key] = [(each['image'], each['mask']) for each in names[key]]
    names['images'], names['masks'] = names['val_loader'][0]
    names.update(epochs=3, criterion=SelfCalibratingBCE())
    names = run('smp_monai_torchvision.md', names)
    assert names['levels'].validations == 3
    assert names['calibrator'].record['images'] == 12
