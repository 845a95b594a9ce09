"""Configs of the package as bases, by MMEngine's prefix."""

import runpy
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import DefaultScope
from mmseg.registry import METRICS, MODELS

import mmaslp
from mmaslp.integrations.mmseg.registry import REGISTRIES
from tests.configs import load_config

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The package as an installation has it, with the folder ``.mim``.

    The hosts ask the metadata of the distribution where the package lies, so the tests
    say what an installation in this folder would.
    """
    package = tmp_path / 'site' / 'mmaslp'
    package.mkdir(parents=True)
    monkeypatch.setattr('setuptools.setup', lambda **options: None)
    setup = runpy.run_path(str(ROOT / 'setup.py'))
    setup['link_mim'](package / '.mim', ROOT)
    for module in ('mmengine.config.config', 'mmengine.hub.hub'):
        monkeypatch.setattr(f'{module}.get_installed_path', lambda name: str(package))
    return package


def test_what_a_base_names_is_found_in_the_host_and_here(installed, tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = ['mmaslp::demo/bce.py']\n")
    cfg = Config.fromfile(path)
    model = MODELS.build(cfg.model)
    assert type(model).__module__.startswith('mmseg.')
    assert type(model.decode_head.loss_decode) is mmaslp.SCBCELoss
    kinds = [type(METRICS.build(metric)).__name__ for metric in cfg.val_evaluator]
    assert kinds == ['CalibrationMetric', 'IoUMetric']


def test_the_hub_of_mmengine_finds_a_config(installed):
    assert get_config('mmaslp::demo/aslp_mc.py').custom_hooks[0].rule == 'MC'


def test_the_scope_holds_nothing_and_finds_all():
    assert REGISTRIES.keys() >= {'DATASETS', 'HOOKS', 'METRICS', 'MODELS', 'TRANSFORMS'}
    assert not any(registry.module_dict for registry in REGISTRIES.values())
    with DefaultScope.overwrite_default_scope('mmaslp'):
        assert MODELS.get('mmaslp.SCBCELoss') is mmaslp.SCBCELoss
        assert METRICS.build(dict(type='CalibrationMetric')).prefix == 'calib'


def test_bases_of_mmsegmentation_resolve_on_both_distributions(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text("_base_ = ['mmseg::_base_/models/fcn_unet_s5-d16.py']\n")
    assert load_config(str(path)).model.type == 'EncoderDecoder'
