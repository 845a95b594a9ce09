import subprocess
import sys

import pytest

BLOCK = """
import sys
for name in ('mmseg', 'mmcv', 'mmengine'):
    sys.modules[name] = None
"""


def python(code):
    return subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=False
    )


def test_without_a_host_the_import_is_silent():
    code = 'import warnings; warnings.simplefilter("error"); import mmaslp.core'
    done = python(BLOCK + code)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


def test_without_a_host_a_component_says_what_to_install():
    done = python(BLOCK + 'import mmaslp; mmaslp.ASLPHook')
    assert done.returncode != 0
    assert 'ImportError: mmaslp.ASLPHook is not there' in done.stderr
    assert 'pip install "mmaslp[onedl]"' in done.stderr
    done = python(BLOCK + 'from mmaslp import core; import mmaslp; mmaslp.nothing')
    assert "AttributeError: module 'mmaslp' has no attribute 'nothing'" in done.stderr


def test_a_broken_host_is_warned_of(tmp_path):
    (tmp_path / 'mmseg').mkdir()
    (tmp_path / 'mmseg' / '__init__.py').write_text('assert False, "needs mmcv<2.2"')
    done = python(f'import sys; sys.path.insert(0, {str(tmp_path)!r}); import mmaslp')
    assert done.returncode == 0, done.stderr
    assert 'UserWarning: mmaslp registers nothing' in done.stderr
    assert 'needs mmcv<2.2' in done.stderr and 'mmaslp doctor' in done.stderr


def test_core_needs_no_host():
    code = """
import torch
from mmaslp.core import (CalibrationHistogram, image_margin, perturb_target, sc_bce,
                         update_alpha)
z, y = torch.randn(2, 3, 3), torch.ones(2, 3, 3)
sc_bce(z, perturb_target(y, 2.0))
update_alpha(torch.zeros(2), image_margin(z, y), accuracy=.9, beta=2., eta=.1, lam=1.)
h = CalibrationHistogram(); h.update(torch.sigmoid(z), y); h.compute()
assert not any(m.startswith('mm') and sys.modules[m] for m in sys.modules
               if m.split('.')[0] in ('mmseg', 'mmcv', 'mmengine'))
"""
    done = python(BLOCK + code)
    assert done.returncode == 0, done.stderr


def test_losses_need_no_host():
    code = """
import warnings; warnings.simplefilter('error')
import torch, mmaslp
from mmaslp.hosts.mmseg import losses
z, y = torch.randn(2, 1, 4, 4), torch.ones(2, 4, 4)
assert losses.SCBCELoss()(z, y).isfinite()
assert mmaslp.SCBCELoss is losses.SCBCELoss
try:
    losses.SCBCELoss(class_weight='weights.yaml')
except ValueError as error:
    print(error)
"""
    done = python(BLOCK + code)
    assert done.returncode == 0, done.stderr
    assert "class_weight='weights.yaml': give two numbers, or a file" in done.stdout


def test_import_touches_no_module_that_is_slow_or_needs_compiled_operators():
    code = """
import sys, mmaslp
loaded = {m for m in sys.modules if m.startswith(('mmcv', 'mmseg.'))}
allowed = ('mmseg.registry', 'mmseg.version')
print([m for m in sorted(loaded) if not m.startswith(allowed)])
print([m for m in ('matplotlib', 'torch._dynamo') if m in sys.modules])  # slow
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    # What `import mmseg` itself loads is the host's own affair.
    host = python(code.replace('mmaslp', 'mmseg.registry, mmengine.runner'))
    assert done.stdout == host.stdout


@pytest.mark.parametrize(
    ('registry', 'name'),
    [
        ('MODELS', 'SCBCELoss'),
        ('MODELS', 'BinarySegTTAModel'),
        ('MODELS', 'DilatedFusionNeck'),
        ('HOOKS', 'ASLPHook'),
        ('HOOKS', 'ProbMapHook'),
        ('HOOKS', 'TemperatureHook'),
        ('METRICS', 'CalibrationMetric'),
        ('METRICS', 'SODMetric'),
        ('DATASETS', 'SODDataset'),
        ('DATASETS', 'SyntheticSODDataset'),
        ('TRANSFORMS', 'LoadBinaryAnnotations'),
        ('TRANSFORMS', 'RandomCenterCrop'),
    ],
)
def test_everything_is_registered(registry, name):
    import mmseg.registry

    import mmaslp

    component = getattr(mmseg.registry, registry).get(name)
    assert component.__module__.startswith('mmaslp.')
    assert component.__doc__
    assert getattr(mmaslp, name) is component
    assert name in mmaslp.__all__


def test_unknown_attribute_is_an_attribute_error():
    import mmaslp

    with pytest.raises(AttributeError, match='nothing_like_it'):
        _ = mmaslp.nothing_like_it
