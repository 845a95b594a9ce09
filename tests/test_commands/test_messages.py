"""Mistakes on the command line: one message that names file, place and remedy each."""

import logging
import os
import re
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

from mmaslp.commands import main
from mmaslp.files.prob_maps import MapReader, write_prob_map
from tests.map_folders import write_set
from tests.toy import Toy


def configs():
    """Configs that cannot be read, by name."""
    text = {
        'syntax.py': 'model = (',
        'name.py': 'a = 1\nmodel = dict(b=undefined)\n',
        'circle.py': "_base_ = ['circle2.py']\n",
        'circle2.py': "_base_ = ['circle.py']\n",
        'itself.py': "_base_ = 'itself.py'\n",
        'base.py': "_base_ = ['gone.py']\n",
        'heir.py': "_base_ = ['syntax.py']\n",
        'long.py': "raise ValueError('x' * 10**6)\n",
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
    root = tmp_path_factory.mktemp('mistakes')
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
    'name',
    [
        'syntax.py',
        'name.py',
        'circle.py',
        'itself.py',
        'base.py',
        'heir.py',
        'long.py',
        'exit.py',
        'import.py',
        'empty.py',
        'latin.py',
        'loop.py',
        'folder.py',
        'mmaslp::demo/bcee.py',
    ],
)
def test_configs(ends, name):
    culprit = {
        'base.py': 'gone.py',
        'heir.py': 'syntax.py',
        'import.py': 'nowhere_at_all',
    }.get(name, name)
    message = ends(['train', name, '--work-dir', 'run'])
    assert culprit in message
    assert ('is a base of itself' in message) == (name in ('circle.py', 'itself.py'))
    assert len(message) < 2000


@pytest.mark.parametrize(
    'option',
    [
        'custom_hooks.7.rule=MC',
        'model.backbone.type=UNett',
        'optim_wrapper.optimizer.type=Adamm',
        'model.backbone.depth=3',
        'train_cfg.max_epochs=x',
        'train_cfg.max_epochs=0',
        'train_cfg.val_interval=0',
        'custom_imports=5',
        'train_dataloader=5',
        'load_from=5',
        'resume=yes',
    ],
)
def test_options_of_a_training(ends, option, tmp_path):
    args = ['train', 'c.py', '--work-dir', str(tmp_path), '--cfg-options', option]
    assert re.search(r'c\.py|resume|train_cfg', ends(args))
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize('name', ['cut.pth', 'html.pth', 'last_checkpoint'])
def test_a_trusted_checkpoint_is_named(ends, name):
    Path('last_checkpoint').write_text('run/epoch_1.pth')
    assert f'{name} is damaged, or no checkpoint' in ends(
        ['test', 'c.py', name, '--trust-checkpoint']
    )


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        ('eval-maps pair pair --report r.pdf', 'a page is a file that ends with .html'),
        ('eval-maps pair pair --json r.html', 'not a page: --report writes one'),
        ('fit w.pth pair --out c.json', 'w.pth: neither a folder of maps nor a config'),
    ],
)
def test_what_a_command_would_leave_out(ends, words, said):
    assert said in ends(words.split())


@pytest.mark.parametrize(
    ('root', 'culprit'),
    [
        ('pair', 'pair/masks'),
        ('gone', 'mmaslp demo'),
        ('image', 'image/images/03.png'),
        ('mask', 'mask/masks/03.png'),
        ('loop', '03.png'),
    ],
)
def test_data_of_a_training(ends, root, culprit, tmp_path):
    # A directory of its own: the host keeps the streams of a log by its name.
    option = f'train_dataloader.dataset.data_root={root}'
    args = ['train', 'c.py', '--work-dir', str(tmp_path), '--cfg-options', option]
    assert culprit in ends(args)
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize(
    'name',
    [
        'empty.pth',
        'list.pth',
        'cut.pth',
        'html.pth',
        'loop.pth',
        'gone.pth',
        'toy/gone.pth',
        'c.py/w.pth',
    ],
)
def test_checkpoints(ends, name):
    assert name in ends(['test', 'c.py', name])


def maps(folder, names=('a', 'b')):
    """A folder of 2 x 2 maps (or masks)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).save(
            folder / f'{name}.png'
        )
    return str(folder)


def test_an_image_above_the_limit_of_pillow(ends, tmp_path, monkeypatch):
    pred, gt = maps(tmp_path / 'p'), maps(tmp_path / 'g')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1)
    assert 'exceeds limit of 2 pixels' in ends(['eval-maps', pred, gt])


ODD = {
    'dollar': 'a$b$c',
    'line break': 'new\nline',
    'no UTF-8': os.fsdecode(b'lat\xff'),
    'braces': '{x}',
    'markup': '<script>',
    'escape': '\x1b[31mred',
}


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
    message = ends([*args, '--overwrite'])
    assert (f'{name}: has' in message) is not shown


def test_names_that_look_alike_are_the_same_name(ends, tmp_path):
    forms = [normalize(form, 'café') for form in ('NFC', 'NFD')]
    pred, gt = maps(tmp_path / 'p', forms[:1]), maps(tmp_path / 'g', forms[1:])
    ends(['eval-maps', pred, gt, '--resamples', '0'], code=0)
    maps(tmp_path / 'p', forms[1:])
    assert 'the same name as' in ends(['eval-maps', pred, gt])


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_interruptions_say_what_is_kept(ends, number, monkeypatch):
    """The signal arrives in the second epoch."""
    from mmaslp import ASLPHook

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


@pytest.mark.parametrize('option', ['--json', '--plot', '--report'])
def test_an_option_of_nothing(capsys, option):
    with pytest.raises(SystemExit):
        main(['eval-maps', 'maps', 'masks', option, ''])
    assert f'{option} is empty' in capsys.readouterr().err


def test_a_folder_of_nothing(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # which '' would be
    with pytest.raises(SystemExit):
        main(['eval-maps', '', 'masks'])
    assert 'pred_dir is empty' in capsys.readouterr().err


@pytest.mark.parametrize('number', ['0', 'auto'])
def test_no_process_at_all(capsys, number):
    with pytest.raises(SystemExit):
        main(['fit', 'maps', 'masks', '--out', 'x.json', '--workers', number])
    assert 'name 1 to' in capsys.readouterr().err


def test_masks_in_the_place_of_maps_are_said(tmp_path, capsys):
    maps, masks = write_set(tmp_path, 4)
    again = tmp_path / 'again'
    os.rename(maps, again)
    for path in again.iterdir():  # maps that pass for masks
        Image.open(masks / path.name).save(path)
    assert main(['eval-maps', str(masks), str(again)]) == 0
    assert 'All probabilities are 0 or 1, as of masks' in capsys.readouterr().out


def test_more_workers_than_processors(capsys):
    with pytest.raises(SystemExit):
        main(['eval-maps', 'm', 'g', '--workers', '100000'])
    assert '100000: name 1 to' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('words', 'culprit'),
    [
        ('eval-maps maps masks --key a', '--key'),
        ('fit maps masks --out c.json --channel 1', '--channel'),
        ('fit maps masks --out c.json --windows', '--windows'),
        ('fit maps masks --out c.json --data set', '--data'),
        ('fit c.py x.pth --out c.json --logits', '--logits'),
        ('eval-maps maps masks --max-value 1e9', '--max-value'),
        ('compare r.json r.json --resamples 1', '--resamples'),
        ('compare r.json ./r.json --fail-if-worse', 'given twice'),
        ('fit c.py x.pth --out c.json --max-value 0', '--max-value'),
        ('fit maps masks --out c.json --groups ^0', 'finds only 0 in the names'),
        ('fit maps masks --out c.json --groups (z)?', 'matches nothing in'),
        ('review maps --calibrator c.json --report x.csv', 'ends with .html'),
        ('fit maps masks --out c.csv', '--out c.csv: a calibrator is a JSON file'),
        ('eval-maps maps masks --max-value 0', '--max-value must be a number'),
        ('fit maps masks --out c.json --channel ²', 'channel'),
        ('doctor --data maps', '`mmaslp prepare FOLDER`'),
        ('doctor --patch new.py', '--patch change a config'),
        ('test mmaslp::demo/bce.py x.pth --cfg-options load_from=y.pth', 'load_from'),
    ],
)
def test_what_had_no_effect_on_files(words, culprit, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path, 12)
    assert main(['eval-maps', 'maps', 'masks', '--json', 'r.json']) == 0
    assert main(words.split()) == 2
    assert culprit in capsys.readouterr().err


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (lambda prob: prob, ''),
        (lambda prob: np.round(prob), 'all probabilities are 0 or 1'),
    ],
)
@pytest.mark.parametrize('workers', [1, 2])
def test_what_no_network_gives_is_said_where_it_is_applied(
    tmp_path, recwarn, change, said, workers
):
    maps, masks = write_set(tmp_path, 12)
    calibrator = tmp_path / 'c.json'
    assert main(['fit', str(maps), str(masks), '--out', str(calibrator)]) == 0
    for path in maps.iterdir():
        changed = change(MapReader().read(path))
        write_prob_map(path, changed, bits=16, overwrite=True)
    recwarn.clear()
    words = ['apply', str(calibrator), str(maps), '--out', str(tmp_path / 'out')]
    assert main([*words, '--workers', str(workers)]) == 0
    assert [said in str(each.message) for each in recwarn] == [True] * bool(said)
