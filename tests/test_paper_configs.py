"""The configs of the paper's setting, on a tiny copy of its data in its layouts."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import MODELS
from PIL import Image

from mmaslp.losses.perturbations import resolve_perturbation
from tests.configs import load_config
from tests.scripts import make_host_cheap

make_host_cheap()

ROOT = Path(__file__).resolve().parents[1]
NAME = 'dilated-fusion_r50_{}_1xb10-30e_duts-384x384'
PERTURBATIONS = ('hi', 'si', 'm', 'dm')
METHODS = [
    'bce',
    'ls',
    *(f'slp-{name}' for name in PERTURBATIONS),
    *(f'aslp-{rule}-{name}' for rule in ('mc', 'me') for name in PERTURBATIONS),
    'aslp-fb-hi',
]
pytestmark = pytest.mark.release
TEST_SETS = ('DUTS-TE', 'DUT-OMRON', 'PASCAL-S', 'SOD', 'ECSSD', 'HKU-IS')
# The structure stays as it is; two iterations of one batch of ten small images.
SMALL = {
    'model.pretrained': None,
    'model.backbone.stem_channels': 4,
    'model.backbone.base_channels': 4,
    'model.neck.in_channels': [16, 32, 64, 128],
    'model.neck.channels': 4,
    'model.neck.mid_channels': 4,
    'model.neck.out_channels': 4,
    'model.decode_head.in_channels': 4,
    'model.decode_head.channels': 4,
    'model.data_preprocessor.size': (96, 96),
    'train_dataloader.dataset.pipeline.5.scale': (96, 96),
    **{
        f'{part}.pipeline.1.scale': (96, 96)
        for part in (
            *('val_dataloader.dataset', 'test_dataloader.dataset'),
            *(f'test_sets.{name}' for name in TEST_SETS[1:]),
        )
    },
    'train_cfg.max_epochs': 2,
    **{
        f'{split}_dataloader.{key}': value
        for split in ('train', 'val', 'test')
        for key, value in dict(num_workers=0, persistent_workers=False).items()
    },
}


def path_of(method):
    return ROOT / 'configs' / 'aslp' / f'{NAME.format(method)}.py'


def load(method, **options):
    cfg = load_config(str(path_of(method)), options)
    init_default_scope(cfg.default_scope)
    return cfg


def write_set(folder, names, size=(48, 56)):
    rng = np.random.default_rng(len(names))
    for kind in ('images', 'masks'):
        (folder / kind).mkdir(parents=True)
    for name in names:
        mask = np.zeros(size, np.uint8)
        top, left = rng.integers(0, 24, 2)
        mask[top : top + 24, left : left + 24] = 255
        image = rng.integers(0, 120, (*size, 3)) + mask[..., None] // 3
        image = Image.fromarray(image.astype(np.uint8))
        image.save(folder / 'images' / f'{name}.jpg')
        Image.fromarray(mask).save(folder / 'masks' / f'{name}.png')


@pytest.fixture(scope='module')
def workplace(tmp_path_factory):
    """A working directory with data/, as `mmaslp prepare` leaves it."""
    root = tmp_path_factory.mktemp('paper')
    train = [f'{i:02d}' for i in range(14)]
    write_set(root / 'data' / 'DUTS-TR', train)
    for split, names in dict(train=train[:10], val=train[10:]).items():
        listed = root / 'data' / 'DUTS-TR' / f'{split}.txt'
        listed.write_text('\n'.join(names))
    for name in TEST_SETS:
        write_set(root / 'data' / name, ['0', '1'])
    return root


def test_there_is_a_config_for_each_row_and_no_other():
    found = {p.stem for p in path_of('bce').parent.glob('dilated-fusion_r50_*.py')}
    assert found == {NAME.format(method) for method in METHODS}


def test_network_has_the_parameters_of_the_released_one():
    """Those that the released network trains; it holds 90,737,921."""

    def conv(inputs, outputs, kernel=3, bias=True):
        return kernel**2 * inputs * outputs + bias * outputs

    laterals = sum(4 * conv(width, 256) for width in (256, 512, 1024, 2048))
    units = 7 * 2 * conv(256, 256)
    output = conv(256, 128) + conv(128, 32) + conv(32, 1, kernel=1)
    resnet = 25_557_032 - (2048 + 1) * 1000  # torchvision's, without its classifier
    model = MODELS.build(load('bce', **{'model.pretrained': None}).model)
    count = sum(p.numel() for p in model.parameters())
    assert count == resnet + laterals + units + output == 67_494_657


@pytest.mark.parametrize('method', METHODS)
def test_config_is_what_its_name_says(method):
    cfg = load(method)
    loss = MODELS.build(cfg.model.decode_head.loss_decode)
    hooks = cfg.get('custom_hooks', [])
    kind, *parts = method.split('-')
    assert [hook.type for hook in hooks] == ['ASLPHook'] * (kind in ('slp', 'aslp'))
    smoothing = loss.criterion.alpha * loss.criterion.perturbation.beta
    if kind in ('bce', 'aslp'):
        assert smoothing == 0
    else:  # the same target in expectation, so that rows can be compared
        assert smoothing == pytest.approx(0.1)
    assert loss.criterion.target.deterministic == (kind == 'ls')
    if parts:
        assert loss.criterion.perturbation == resolve_perturbation(parts[-1].upper())
        rule = parts[0].upper() if kind == 'aslp' else 'fixed'
        assert hooks[0].rule == rule
        assert hooks[0].get('warmup_epochs') == (5 if kind == 'aslp' else None)


@pytest.mark.parametrize('method', ['ls', 'slp-si', 'aslp-me-dm'])
def test_two_iterations(method, workplace, tmp_path, monkeypatch):
    monkeypatch.chdir(workplace)
    cfg = load(method, **SMALL, log_level='WARNING', work_dir=str(tmp_path))
    cfg.experiment_name = cfg.visualizer.name = f'paper_{method}'
    if 'aslp' in method:
        cfg.custom_hooks[0].warmup_epochs = 1
    runner = Runner.from_cfg(cfg)
    before = {k: v.clone() for k, v in runner.model.state_dict().items()}
    runner.train()
    assert runner.iter == 2
    moved = {
        name.split('.')[0]
        for name, value in runner.model.named_parameters()
        if not torch.equal(value, before[name])
    }
    assert moved == {'backbone', 'neck', 'decode_head'}
    if 'slp' in method:
        with (tmp_path / 'alpha.csv').open() as file:
            levels = [float(row['alpha']) for row in csv.DictReader(file)]
        assert len(levels) == 10
        assert all(0 <= level < 1 for level in levels)
        if method == 'slp-si':
            assert levels == pytest.approx([0.1 / 1.5] * 10, abs=1e-6)
