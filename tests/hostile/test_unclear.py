"""Mistakes on the command line: one message that names file, place and remedy each."""

import logging
import os
import shutil
import signal
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image

from mmaslp import (
    BandTable,
    BorderLevels,
    CalibrationHistogram,
    Calibrator,
    ImageLevels,
    SelfCalibratingBCE,
    dice_optimal_mask,
    fit_calibrator,
)
from mmaslp.commands import main
from mmaslp.files.images import open_image
from tests.toy import Toy

ODD = {
    'dollar': 'a$b$c',
    'line break': 'new\nline',
    'no UTF-8': os.fsdecode(b'lat\xff'),
    'braces': '{x}',
    'markup': '<script>',
    'escape': '\x1b[31mred',
}


def configs():
    """Configs that cannot be read, by name."""
    text = {
        'syntax.py': 'model = (',
        'name.py': 'a = 1\nmodel = dict(b=undefined)\n',
        'circle.py': "_base_ = ['circle2.py']\n",
        'circle2.py': "_base_ = ['circle.py']\n",
        'itself.py': "_base_ = 'itself.py'\n",
        'base.py': "_base_ = ['gone.py']\n",
        'exit.py': 'exit()\n',
        'import.py': "custom_imports = ['nowhere_at_all']\n",
        'empty.py': '',
    }
    for name, content in text.items():
        Path(name).write_text(content)
    Path('latin.py').write_bytes(b"a = '\xff'\n")
    Path('loop.py').symlink_to('loop.py')
    Path('folder.py').mkdir()


def checkpoints(model):
    """Checkpoints that are none, by name."""
    torch.save(dict(state_dict=model.state_dict(), meta={}), 'w.pth')
    whole = Path('w.pth').read_bytes()
    content = {
        'empty.pth': b'',
        'cut.pth': whole[: len(whole) // 2],
        'html.pth': b'<!DOCTYPE html><html>404</html>',
    }
    for name, data in content.items():
        Path(name).write_bytes(data)
    torch.save([torch.ones(2)], 'list.pth')
    Path('loop.pth').symlink_to('loop.pth')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A data set, a config, weights, and one bad file of each kind."""
    root = tmp_path_factory.mktemp('unclear')
    before = Path.cwd()
    os.chdir(root)
    try:
        toy = Toy(Path('toy'))
        cfg = toy.config('run')
        cfg.pop('experiment_name')
        cfg.train_cfg.max_epochs = 1
        cfg.dump('c.py')
        init_default_scope('mmseg')
        configs()
        checkpoints(MODELS.build(cfg.model))
        for bad in ('image', 'mask', 'loop', 'pair'):
            shutil.copytree('toy/train', bad)
        Path('image/images/03.png').write_bytes(b'no image')
        Path('mask/masks/03.png').write_bytes(b'no mask')
        Path('loop/masks/03.png').unlink()
        Path('loop/masks/03.png').symlink_to('03.png')
        Path('pair/masks/03.png').unlink()
    finally:
        os.chdir(before)
    return root


@pytest.fixture
def ends(folder, monkeypatch, capsys):
    """Run a command line; check how it ends, return its message."""
    monkeypatch.chdir(folder)
    # The host keeps the log of an earlier run, whose stream pytest has closed.
    monkeypatch.setattr(logging, 'raiseExceptions', False)
    for name in ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK', 'MASTER_ADDR'):
        monkeypatch.delenv(name, raising=False)

    def run(argv, code=2):
        try:
            found = main(argv)
        except SystemExit as stop:
            found = stop.code
        *text, last = capsys.readouterr().err.splitlines() or ['']
        assert found == code, text
        assert not [line for line in text if 'Traceback' in line]
        if code and 'MMASLP_TRACEBACK' in last:
            last = text[-1]
        return '\n'.join([*text, last]) if code == 0 else last

    return run


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('syntax.py', 'syntax.py cannot be read as a config: SyntaxError'),
        ('name.py', "name.py, line 2: NameError: name 'undefined'"),
        ('circle.py', 'its bases name each other'),
        ('itself.py', 'its bases name each other'),
        ('base.py', 'gone.py'),
        ('exit.py', 'SystemExit'),
        ('import.py', 'nowhere_at_all'),
        ('empty.py', 'empty.py cannot be built'),
        ('latin.py', 'latin.py cannot be read as a config: UnicodeDecodeError'),
        ('loop.py', 'no config at'),
        ('folder.py', 'no config at'),
        ('mmaslp::demo/bcee.py', 'has no config mmaslp::demo/bcee.py'),
    ],
)
def test_configs(ends, name, words):
    assert words in ends(['train', name, '--work-dir', 'run'])


@pytest.mark.parametrize(
    ('option', 'words'),
    [
        ('custom_hooks.7.rule=MC', 'custom_hooks.7.rule: does not fit c.py'),
        (
            'model.backbone.type=UNett',
            'UNett is not in the mmseg::model registry',
        ),
        ('model.backbone.depth=3', "unexpected keyword argument 'depth'"),
        ('train_cfg.max_epochs=x', 'c.py cannot be built: ValueError'),
        ('optim_wrapper.optimizer.type=Adamm', 'c.py cannot be built'),
        ('train_dataloader.dataset.data_root=pair', 'pair/masks'),
        ('train_dataloader.dataset.data_root=gone', 'gone'),
        ('train_dataloader.dataset.data_root=image', 'image/images/03.png'),
        ('train_dataloader.dataset.data_root=mask', 'mask/masks/03.png: cannot be'),
        ('train_dataloader.dataset.data_root=loop', '03.png: Too many levels'),
    ],
)
def test_options_and_data_of_a_training(ends, option, words, tmp_path):
    # A directory of its own: the host keeps the streams of a log by its name.
    args = ['train', 'c.py', '--work-dir', str(tmp_path), '--cfg-options', option]
    assert words in ends(args)
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('empty.pth', 'empty.pth is damaged (it is empty)'),
        ('list.pth', 'list.pth holds a list, and a checkpoint is a dict'),
        ('cut.pth', 'cut.pth is damaged (it is cut short)'),
        ('html.pth', 'html.pth is damaged (it is not a torch checkpoint)'),
        ('loop.pth', 'no checkpoint at'),
        ('gone.pth', 'no checkpoint at'),
        ('toy/gone.pth', 'no checkpoint at'),
        ('c.py/w.pth', 'no checkpoint at'),
    ],
)
def test_checkpoints(ends, name, words):
    assert words in ends(['test', 'c.py', name])


def maps(folder, names=('a', 'b')):
    """A folder of 2 x 2 maps (or masks)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).save(
            folder / f'{name}.png'
        )
    return str(folder)


def test_files_that_are_none(ends, tmp_path, monkeypatch):
    """A pipe, whose reading never ends, and an image above the limit of Pillow."""
    pred, gt = maps(tmp_path / 'p'), maps(tmp_path / 'g')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1)
    message = ends(['eval-maps', pred, gt])
    assert 'has more than 2 pixels, the most that Pillow reads' in message
    (tmp_path / 'p' / 'a.png').unlink()
    os.mkfifo(tmp_path / 'p' / 'a.png')
    (tmp_path / 'g' / 'a.png').unlink()
    os.mkfifo(tmp_path / 'g' / 'a.png')
    monkeypatch.undo()
    assert 'a.png: not a file' in ends(['eval-maps', pred, gt])


@pytest.mark.parametrize('kind', ODD)
def test_odd_names_work_and_are_shown_escaped(ends, kind, tmp_path, capsys):
    """Maps, their folder and the outputs have the name; then one map has no mask."""
    name = ODD[kind]
    pred, gt = maps(tmp_path / name, ['a', name]), maps(tmp_path / 'gt', ['a', name])
    out = [str(tmp_path / f'{name}.{suffix}') for suffix in ('json', 'png')]
    args = ['eval-maps', pred, gt, '--resamples', '2', '--json', out[0]]
    if kind in ('dollar', 'no UTF-8'):  # would be a formula, could not be drawn
        args += ['--plot', out[1]]
    shown = not name.isprintable()
    assert main(args) == 0
    found = capsys.readouterr().out
    assert (name in found) is not shown
    assert all(os.path.getsize(path) for path in out if path in args)
    assert main(['compare', out[0], out[0], '--resamples', '2']) == 0
    (tmp_path / 'gt' / f'{name}.png').unlink()
    message = ends(args)
    assert 'no mask of this name' in message
    assert (f'{name}.png' in message) is not shown


def test_names_that_look_alike_are_the_same_name(ends, tmp_path):
    forms = [normalize(form, 'café') for form in ('NFC', 'NFD')]
    pred, gt = maps(tmp_path / 'p', forms[:1]), maps(tmp_path / 'g', forms[1:])
    ends(['eval-maps', pred, gt, '--resamples', '0'], code=0)
    maps(tmp_path / 'p', forms[1:])
    assert 'the same name as' in ends(['eval-maps', pred, gt])


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_interruptions_say_what_is_kept(ends, number, monkeypatch):
    """The signal arrives in the second epoch."""
    from mmaslp.integrations.mmseg.engine import ASLPHook

    after = ASLPHook.after_train_epoch

    def interrupt(self, runner):
        after(self, runner)
        if runner.epoch == 1:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(ASLPHook, 'after_train_epoch', interrupt)
    work_dir = f'stopped{number}'
    args = ['train', 'c.py', '--work-dir', work_dir]
    options = ['--cfg-options', 'train_cfg.max_epochs=3']
    message = ends([*args, *options], code=128 + number)
    assert f'{work_dir}/epoch_1.pth is kept' in message
    assert 'goes on from it with --resume' in message
    monkeypatch.undo()


GOOD = torch.zeros(2, 4, 4)
IDENTITY = Calibrator('identity', 'single', 'confidence', [([0, 1], [0, 1])])


@pytest.mark.parametrize(
    'odd',
    [None, 'abc', {}, len, np.array([None]), GOOD.to('meta'), GOOD.to_sparse()],
    ids=['None', 'text', 'dict', 'function', 'objects', 'meta', 'sparse'],
)
@pytest.mark.parametrize(
    'call',
    [
        lambda odd: CalibrationHistogram().update(odd, GOOD),
        lambda odd: CalibrationHistogram().update(GOOD, odd),
        lambda odd: BandTable().update(odd, GOOD),
        lambda odd: fit_calibrator([odd] * 12, [GOOD] * 12),
        lambda odd: fit_calibrator([GOOD] * 12, [odd] * 12),
        lambda odd: SelfCalibratingBCE()(odd, GOOD),
        lambda odd: SelfCalibratingBCE()(GOOD, odd),
        IDENTITY,
        dice_optimal_mask,
    ],
)
def test_what_is_no_map(call, odd):
    with pytest.raises(ValueError, match=r'(prob|label|logits|labels) must be'):
        call(odd)


@pytest.mark.parametrize('odd', [None, 'abc', {}, len, 3])
@pytest.mark.parametrize(
    'call',
    [
        BorderLevels().load_state_dict,
        BorderLevels().observe,
        ImageLevels(['a']).load_state_dict,
        ImageLevels(['a']).update,
        BandTable().merge,
        CalibrationHistogram().merge,
        IDENTITY.wrap,
        lambda odd: fit_calibrator(odd, len),
        lambda odd: Calibrator('identity', 'single', 'confidence', odd),
        lambda odd: Calibrator('identity', odd, 'confidence', [([0, 1], [0, 1])]),
    ],
)
def test_what_is_no_object_of_ours(call, odd):
    with pytest.raises(ValueError):
        call(odd)


@pytest.mark.parametrize(
    'words', ['apply pipe maps --out x', 'compare pipe pipe', 'report pipe -o x.html']
)
def test_a_pipe_that_nobody_fills(tmp_path, capsys, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    os.mkfifo('pipe')
    assert main(words.split()) == 2
    assert 'pipe' in capsys.readouterr().err


def test_a_pipe_in_place_of_an_image(tmp_path):
    os.mkfifo(tmp_path / 'a.png')
    with pytest.raises(ValueError, match='not a file'):
        open_image(tmp_path / 'a.png')


@pytest.mark.parametrize('option', ['--json', '--plot', '--report', '--images'])
def test_an_option_of_nothing(capsys, option):
    with pytest.raises(SystemExit):
        main(['eval-maps', 'maps', 'masks', option, ''])
    assert f'{option} is empty' in capsys.readouterr().err


def test_no_process_at_all(capsys):
    with pytest.raises(SystemExit):
        main(['fit', 'maps', 'masks', '--out', 'x.json', '--workers', '0'])
    assert 'name 1 to' in capsys.readouterr().err
