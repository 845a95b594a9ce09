"""What the doctor finds in a config."""

import pytest

from mmaslp.commands import main


@pytest.mark.parametrize(
    'line, said',
    [
        ('train_dataloader = dict(batch_size=99, drop_last=True)', 'gives no batch'),
        ("load_from = 'nope.pth'", 'load_from: '),
        ('model = dict(decode_head=3)', 'c.py: model.decode_head must be a dict'),
        (
            "model = dict(auxiliary_head=dict(loss_decode=['x']))",
            'c.py: model.auxiliary_head.loss_decode must be a dict or a list',
        ),
        ('custom_imports = [3]', 'c.py: custom_imports must be dict(imports='),
        ("optim_wrapper = dict(optimizer=dict(type='Adamm'))", 'optim_wrapper: '),
        ("param_scheduler = [dict(type='PolyLRR')]", 'param_scheduler: '),
        (
            "train_dataloader = dict(dataset=dict(pipeline=[dict(type='"
            "LoadImageFromFile'), dict(type='PackSegInputs')]))",
            'no step of its pipeline loads masks',
        ),
        (
            'model = dict(decode_head=dict(loss_decode=dict(_delete_=True, '
            "type='SCBCELoss', alpha=0.1)))\n"
            "custom_hooks = [dict(type='ASLPHook', warmup_epochs=1)]",
            'has an alpha or eps of its own',
        ),
        (
            "model = dict(decode_head=dict(loss_decode=[dict(type='SCBCELoss'), "
            "dict(type='SCBCELoss', beta='M', loss_name='loss_m')]))\n"
            "custom_hooks = [dict(type='ASLPHook', warmup_epochs=1)]",
            "some SCBCELoss have beta='M', and others have none",
        ),
    ],
)
def test_the_doctor_finds(tmp_path, capsys, monkeypatch, line, said):
    monkeypatch.chdir(tmp_path)
    base = "_base_ = ['mmaslp::demo/bce.py']\n"
    (tmp_path / 'c.py').write_text(f'{base}{line}\n')
    assert main(['doctor', 'c.py']) == 1
    assert said in capsys.readouterr().out


@pytest.mark.parametrize('name', ['nowhere.py', 'mmaslp::nothing.py', 'folder'])
def test_a_config_that_is_not_there_is_refused(tmp_path, capsys, monkeypatch, name):
    """As by the other commands; 1 is what the doctor finds in a config."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'folder').mkdir()
    assert main(['doctor', name]) == 2
    assert name in capsys.readouterr().err


def written(capsys, *options):
    """The last lines of the doctor, which writes ``p.py``."""
    assert main(['doctor', 'c.py', '--patch', 'p.py', *options]) == 0
    return capsys.readouterr().out


@pytest.fixture
def demo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'base.py').write_text(
        "_base_ = ['mmaslp::demo/bce.py']\n"
        'custom_hooks = []\n'
        "loss = dict(_delete_=True, type='CrossEntropyLoss', use_sigmoid=True)\n"
        'model = dict(decode_head=dict(loss_decode=loss))\n'
    )
    (tmp_path / 'c.py').write_text("_base_ = ['base.py']\n")
    return tmp_path


def test_a_patch_is_written_again_if_that_is_asked(demo, capsys):
    written(capsys, '--levels', 'band')
    assert main(['doctor', 'c.py', '--patch', 'p.py']) == 2
    assert 'p.py exists already' in capsys.readouterr().err
    assert "levels='band'" in (demo / 'p.py').read_text()
    written(capsys, '--overwrite')
    assert "levels='image_band'" in (demo / 'p.py').read_text()


@pytest.mark.parametrize('name', ['c.py', 'base.py'])
def test_a_patch_replaces_no_config_that_it_is_made_of(demo, capsys, name):
    before = (demo / name).read_text()
    assert main(['doctor', 'c.py', '--patch', name, '--overwrite']) == 2
    assert f'--patch {name} is an input' in capsys.readouterr().err
    assert (demo / name).read_text() == before


def test_the_last_line_says_whether_the_patch_trains_with_levels(demo, capsys):
    assert 'p.py is c.py with the patch: ' in written(capsys)
    (demo / 'c.py').write_text("_base_ = ['base.py']\ntrain_cfg = dict(max_epochs=4)\n")
    said = 'p.py is c.py with the patch, which trains without levels: read the warnings'
    assert said in written(capsys, '--overwrite')


def test_losses_that_the_patch_leaves_out_are_named(demo, capsys):
    (demo / 'c.py').write_text(
        "_base_ = ['base.py']\n"
        "model = dict(decode_head=dict(loss_decode=[dict(type='SCBCELoss'), "
        "dict(type='DiceLoss')]))\n"
    )
    assert 'DiceLoss is left out: it has no target per pixel' in written(capsys)
