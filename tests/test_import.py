"""What importing the package does, with MMSegmentation and without it."""

import ast
import inspect
import subprocess
import sys

import pytest

import mmaslp
from mmaslp import calibration

BLOCK = """
import sys
for name in ('mmseg', 'mmcv', 'mmengine'):
    sys.modules[name] = None
"""


def python(code, *options):
    return subprocess.run(
        [sys.executable, *options, '-c', code],
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_mmsegmentation():
    """The core and the losses work in silence; a component says what to install."""
    code = """
import torch, mmaslp
from mmaslp import CalibrationHistogram
from mmaslp.integrations.mmseg.models import losses
z, y = torch.randn(2, 1, 4, 4), torch.ones(2, 4, 4)
assert losses.SCBCELoss()(z, y).isfinite()
assert mmaslp.SCBCELoss is losses.SCBCELoss
h = CalibrationHistogram(); h.update(torch.sigmoid(z[:, 0]), y); h.compute()
assert not [m for m in sys.modules if m.startswith('mmeng') and sys.modules[m]]
names = {name for name, _ in __import__('inspect').getmembers(mmaslp)}
assert {*mmaslp.__all__} <= names
for name in ('ASLPHook', 'nothing'):
    try:
        getattr(mmaslp, name)
    except (ImportError, AttributeError) as error:
        print(type(error).__name__, error)
"""
    done = python(BLOCK + code, '-W', 'error')
    assert (done.returncode, done.stderr) == (0, '')
    component, nothing = done.stdout.splitlines()
    assert component.startswith('ImportError mmaslp.ASLPHook is not there')
    assert 'pip install "mmaslp[onedl]"' in component
    assert nothing == "AttributeError module 'mmaslp' has no attribute 'nothing'"


@pytest.mark.parametrize(
    ('module', 'at_once'),
    [
        (mmaslp, {'__version__', 'register_components'}),
        (calibration, {*calibration.__all__} - {*calibration._FITTING}),
    ],
)
def test_editors_see_what_is_imported_later(module, at_once):
    tree = ast.parse(inspect.getsource(module)).body
    [typed] = [node for node in tree if isinstance(node, ast.If)][:1]
    assert typed.test.id == 'TYPE_CHECKING'
    names = {alias.name for line in typed.body for alias in line.names}
    assert names == {*module.__all__} - at_once
    for name in names:
        assert getattr(module, name).__name__.endswith(name)


def test_a_broken_mmsegmentation_is_warned_of(tmp_path):
    (tmp_path / 'mmseg').mkdir()
    (tmp_path / 'mmseg' / '__init__.py').write_text('assert False, "needs mmcv<2.2"')
    code = 'mmaslp.register_components()'
    path = f'import sys; sys.path.insert(0, {str(tmp_path)!r})'
    done = python(f'{path}; import mmaslp; {code}')
    assert done.returncode == 0, done.stderr
    assert 'UserWarning: mmaslp registers nothing' in done.stderr
    assert 'needs mmcv<2.2' in done.stderr
    assert 'mmaslp doctor' in done.stderr


def test_the_import_is_quick_and_passes_where_warnings_are_errors():
    """It touches nothing that is slow or needs compiled operators."""
    code = """
import sys, mmaslp
loaded = {'.'.join(m.split('.')[:2]) for m in sys.modules if m.startswith('mmseg.')}
print(sorted(loaded - {'mmseg.registry', 'mmseg.version'}))
print([m for m in ('mmcv.ops', 'matplotlib', 'torch._dynamo') if m in sys.modules])
"""
    done = python(code, '-W', 'error')
    assert done.returncode == 0, done.stderr
    assert done.stdout == '[]\n[]\n'


def test_everything_is_registered():
    import mmseg.registry as registries

    import mmaslp

    kinds = [r for r in vars(registries).values() if hasattr(r, 'module_dict')]
    for name in mmaslp._COMPONENTS:
        component = getattr(mmaslp, name)
        assert any(r.module_dict.get(name) is component for r in kinds), name
        assert component.__module__.startswith('mmaslp.')
        assert component.__doc__
    with pytest.raises(AttributeError, match='nothing_like_it'):
        _ = mmaslp.nothing_like_it


def test_a_config_is_read_before_what_takes_seconds_to_import():
    code = """
import sys
import mmaslp.integrations.mmseg.config, mmaslp.integrations.mmseg.data
assert 'mmengine.runner' not in sys.modules and 'torch' not in sys.modules
"""
    done = python(code)
    assert not done.returncode, done.stderr
