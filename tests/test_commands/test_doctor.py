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
