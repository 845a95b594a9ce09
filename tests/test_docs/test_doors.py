"""The blocks of README and of the doors, run as they stand on a toy.

tests/test_pytorch_loop.py compares the loop in PyTorch with the hook; pages of toolkits
are tested beside the toolkits.
"""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from mmaslp import BandLevels, BandTable, SelfCalibratingBCE, fit_calibrator
from mmaslp.commands import main

ROOT = Path(__file__).resolve().parents[2]


def blocks(page):
    """The Python blocks of a page."""
    return re.findall(r'```python\n(.*?)```', (ROOT / page).read_text('utf-8'), re.S)


def commands(page, start):
    """The lines of a page that begin with a command of ours, comments left out."""
    lines = re.findall(
        rf'^    mmaslp ({start} .*)$', (ROOT / page).read_text('utf-8'), re.M
    )
    return [shlex.split(line, comments=True) for line in lines]


def training(images=8, size=16):
    """Names that the blocks of a loop use."""
    torch.manual_seed(0)
    labels = torch.zeros(images, size, size)
    labels[:, 4:12, 4:12] = 1
    data = TensorDataset(
        labels[:, None] + 0.5 * torch.randn(images, 3, size, size), labels
    )
    network = nn.Conv2d(3, 1, 3, padding=1)
    return dict(
        torch=torch,
        network=network,
        optimizer=torch.optim.Adam(network.parameters(), 0.05),
        loader=DataLoader(data, 4, shuffle=True),
        val_loader=DataLoader(data, 4),
        epochs=24,
    )


def probabilities(images=12, size=16):
    rng = np.random.default_rng(0)
    label = np.zeros((images, size, size))
    label[:, 4:12, 4:12] = 1
    return 0.4 * label + 0.6 * rng.random(label.shape), label


@pytest.fixture
def maps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ('val', 'test'):
        prob, label = probabilities()
        kinds = {f'{folder}_maps': prob, f'{folder}_masks': label}
        for name, arrays in kinds.items():
            Path(name).mkdir()
            for number, array in enumerate(arrays):
                picture = Image.fromarray((255 * array).round().astype(np.uint8))
                picture.save(f'{name}/{number}.png')


def four_commands(page):
    measure, prove = commands(page, 'eval-maps')[:2]
    (fit,) = (line for line in commands(page, 'fit') if 'val_maps' in line)
    return [measure, fit, commands(page, 'apply')[0], prove]


def test_the_four_commands_of_maps(maps):
    lines = four_commands('README.md')
    assert lines == four_commands('docs/maps.md')
    for line in lines:
        assert main(line) == 0
    assert Path('calibration.png').exists()
    assert len(list(Path('calibrated').iterdir())) == 12
    assert 'calibrated' in Path('report.html').read_text()


def test_the_network_of_the_readme():
    (block,) = (block for block in blocks('README.md') if 'fit_calibrator' in block)
    prob, label = probabilities()
    names = dict(val_probs=prob, val_labels=label, test_probs=prob[:2])
    names['network'] = nn.Conv2d(3, 1, 3)
    exec(block, names)
    assert names['test_probs'].shape == (2, 16, 16)
    assert names['network'](torch.zeros(1, 3, 8, 8)).shape == (1, 1, 6, 6)


def test_the_uses_of_a_calibrator(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prob, label = probabilities()
    names = dict(test_probs=prob, test_logits=prob - 0.5, network=nn.Conv2d(3, 1, 3))
    names['calibrator'] = fit_calibrator(prob, label)
    (block,) = blocks('docs/network.md')
    exec(block, names)
    assert Path('calibrator.json').exists()


def test_a_loop_of_ones_own():
    found = blocks('docs/pytorch.md')
    loop = next(block for block in found if 'levels.observe' in block)
    after = next(block for block in found if 'judge_batch' in block)
    names = training()
    exec(loop, names)
    assert names['levels'].validations == 24

    names['new_images'] = names['images'][:3]
    exec(after, names)
    assert names['calibrator'].record['images'] == 8
    assert len(names['review']) == 3


@pytest.mark.parametrize(
    ('word', 'library'),
    [
        ('segmentation_models_pytorch', 'segmentation_models_pytorch'),
        ('monai', 'monai'),
        ('torchvision', 'torchvision'),
        ('mmaslp.integrations.torchmetrics', 'torchmetrics'),
    ],
)
def test_other_libraries_in_a_loop(word, library):
    pytest.importorskip(library)
    (block,) = (
        b
        for b in blocks('docs/pytorch.md')
        if f'from {word}' in b or f'import {word}' in b
    )
    names = training(size=64)
    names['criterion'] = SelfCalibratingBCE(BandLevels())
    images, labels = next(iter(names['loader']))
    names.update(images=images, labels=labels, table=BandTable())
    names['batch'] = dict(image=images, label=labels[:, None])
    exec(block, names)
    if word == 'mmaslp.integrations.torchmetrics':
        assert 0 <= names['figures']['val_ece'] <= 1
    else:
        assert 0 < names['loss'].item() < 10


def test_the_config(toy, tmp_path):
    """The block of README, on a config, measures the errors of images."""
    from mmengine.config import Config
    from mmengine.runner import Runner

    block = next(block for block in blocks('README.md') if 'custom_hooks' in block)
    cfg = toy.config(tmp_path / 'run', custom_hooks=[])
    cfg.model.decode_head.loss_decode = dict(type='CrossEntropyLoss', use_sigmoid=False)
    cfg.train_cfg.max_epochs = 9  # a third is the warm-up
    cfg.log_level = 'INFO'
    cfg.dump(tmp_path / 'my_config.py')
    (tmp_path / 'aslp.py').write_text(block)
    Runner.from_cfg(Config.fromfile(tmp_path / 'aslp.py')).train()
    said = next((tmp_path / 'run').rglob('*.log')).read_text('utf-8')
    assert 'errors of images written to' in said
    rows = (tmp_path / 'run' / 'levels.csv').read_text().splitlines()[1:]
    assert len(rows) == 10
    assert all(float(row.split(',')[1]) > 0 for row in rows)
