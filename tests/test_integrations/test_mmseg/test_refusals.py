"""What the components of MMSegmentation refuse."""

import json

import pytest

import mmaslp
from mmaslp import SCBCELoss
from tests.configs import load_config
from tests.evil import command


@pytest.mark.parametrize('name', ['x.pkl', 'x.yaml', 'x.npy'])
def test_class_weights_come_from_no_file(name):
    with pytest.raises(ValueError, match=r'class_weight, .* must be numbers'):
        SCBCELoss(class_weight=name)


@pytest.fixture
def hit(tmp_path):
    """What an evil file makes; it must not be there at the end."""
    path = tmp_path / 'hit'
    yield path
    assert not path.exists()


@pytest.mark.parametrize('suffix', ['yaml', 'yml', 'json'])
@pytest.mark.parametrize('named', [False, True])
def test_a_config_that_looks_like_data_is_refused(tmp_path, hit, suffix, named):
    evil = f'!!python/object/apply:os.mkdir [{str(hit)!r}]'
    if named:  # MMEngine calls it with the other keys
        evil = json.dumps(dict(type='os.mkdir', path=str(hit)))
    (tmp_path / f'e.{suffix}').write_text(f'{{"model": {evil}}}\n')
    name = f'e.{suffix}'
    for depth in range(3):  # it is the config, its base, and the base of its base
        with pytest.raises(ValueError, match=rf'e\.{suffix}: a config is a Python'):
            load_config(str(tmp_path / name))
        assert command('doctor', tmp_path / name) == 1
        for words in ('train', 'test'):
            checkpoint = ['x.pth'] * (words == 'test')
            assert command(words, tmp_path / name, *checkpoint) == 2

        (tmp_path / f'{depth}.py').write_text(f'_base_ = [{name!r}]\n')
        name = f'{depth}.py'
    assert not hit.exists()


# One mistake in a component of a config each, in its first argument; the others go
# through the same checks, which tests/test_common/test_arguments.py has.
REFUSED = [
    ('SCBCELoss', dict(loss_weight='1')),
    ('CalibrationMetric', dict(bins=10**9)),
    ('ProbMapHook', dict(bits='16', out_dir='x')),
    ('LoadBinaryAnnotations', dict(graded='False')),
    ('RandomCenterCrop', dict(border=2.5)),
    ('SODDataset', dict(split=3, lazy_init=True)),
]


@pytest.mark.parametrize(('name', 'options'), REFUSED)
def test_arguments(name, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        getattr(mmaslp, name)(**options)
