"""``python tools/train.py configs/aslp/unet_duts.py``: without data, on a folder."""

import shutil
from pathlib import Path

import pytest

from mmaslp.commands import run_command
from tests.toy import write_images

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs' / 'aslp' / 'unet_duts.py'


def test_without_data_it_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command('train', [str(CONFIG)]) == 2
    out, err = capsys.readouterr()
    assert out == ''
    assert len(err.splitlines()) <= 10
    for words in (
        f'no DUTS-TR in {tmp_path}/data',
        'looked there for DUTS-TR/DUTS-TR-Image + DUTS-TR/DUTS-TR-Mask',
        'DUTS-TR.zip',
        '--data FOLDER',
        'mmaslp demo',
    ):
        assert words in err
    assert 'doctor' not in err  # which would say the same
    assert not [*tmp_path.iterdir()]  # no log, no work directory


def test_images_without_lists_need_mmaslp_prepare(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / 'data' / 'DUTS-TR', 2, seed=0)
    assert run_command('train', [str(CONFIG)]) == 2
    err = capsys.readouterr().err
    assert f'there is no {tmp_path}/data/DUTS-TR/train.txt' in err
    assert 'mmaslp prepare data/DUTS-TR --layout DUTS-TR' in err


def test_the_doctor_says_the_same_as_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_command('doctor', [str(CONFIG)]) == 1
    printed = capsys.readouterr().out
    assert f'error:   train_dataloader.dataset: no DUTS-TR in {tmp_path}' in printed
    assert '--data FOLDER' in printed


def divided(root, images, masks):
    """Images and masks of train and val, under folders with {} for the part."""
    for part in ('train', 'val'):
        write_images(root / 'source', 4, seed=0, size=32)
        for kind, folder in (('images', images), ('masks', masks)):
            target = root / folder.format(part)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(root / 'source' / kind, target)
        shutil.rmtree(root / 'source')


LAYOUTS = {
    'not divided': None,
    'parts hold images': ('{}/images', '{}/masks'),
    'images hold parts': ('images/{}', 'masks/{}'),
    'as MMSegmentation': ('img_dir/{}', 'ann_dir/{}'),
}
SMALL = [
    'model.backbone.base_channels=4',
    'model.decode_head.in_channels=4',
    'model.auxiliary_head.in_channels=8',
    'model.data_preprocessor.size=(32,32)',
    'train_dataloader.dataset.pipeline.2.scale=(32,32)',
    'val_dataloader.dataset.pipeline.1.scale=(32,32)',
    'train_cfg.max_epochs=1',
    'custom_hooks.0.warmup_epochs=0',
    *(
        f'{split}_dataloader.{setting}'
        for split in ('train', 'val', 'test')
        for setting in ('num_workers=0', 'persistent_workers=False', 'batch_size=2')
    ),
]


@pytest.mark.parametrize('layout', LAYOUTS)
def test_a_folder_of_the_user_in_every_layout(tmp_path, monkeypatch, layout):
    monkeypatch.chdir(tmp_path)
    if LAYOUTS[layout] is None:
        write_images(tmp_path / 'mine', 10, seed=0, size=32)
    else:
        divided(tmp_path / 'mine', *LAYOUTS[layout])
    words = [str(CONFIG), '--data', 'mine', '--work-dir', 'run', '--cfg-options']
    assert run_command('train', [*words, *SMALL]) == 0
    assert Path('run/epoch_1.pth').is_file()
    # What it trained on stands in the config that it leaves, for a test.
    assert "data_root='mine'" in Path('run/unet_duts.py').read_text()


def test_a_data_root_that_comes_too_late_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / 'mine', 10, seed=0, size=32)
    words = [str(CONFIG), '--work-dir', 'run', '--cfg-options', *SMALL]
    assert run_command('train', [*words, 'data_root=mine']) == 2
    assert 'already: use --data FOLDER' in capsys.readouterr().err
    assert not Path('run').exists()
    # Of an option that reaches a data set the rest is as before.
    sets = [f'{split}_dataloader.dataset.data_root=mine' for split in ('train', 'val')]
    assert run_command('train', [*words, 'data_root=mine', *sets]) == 2
    assert 'already: use --data FOLDER' not in capsys.readouterr().err


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        ('--data mine --cfg-options val_dataloader.dataset.split=train', 'leave one'),
        ('--cfg-options optim_wraper.optimizer.lr=1', 'alike: optim_wrapper'),
        ('--cfg-options randomnes.seed=4', 'alike: randomness'),
        ('--cfg-options seed=4', 'as in'),
        ('--data parts', 'parts has train, and no val to validate on'),
        (
            '--data mine --work-dir mine/images/00.png',
            'is in mine/images, which is read',
        ),
    ],
)
def test_options_without_an_effect(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / 'mine', 10, seed=0, size=32)
    write_images(tmp_path / 'parts/train', 10, seed=0, size=32)
    assert run_command('train', [str(CONFIG), '--work-dir', 'run', *words.split()]) == 2
    assert said in capsys.readouterr().err
    assert not Path('run').exists()
