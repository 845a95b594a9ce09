"""Hostile cases under the heading Run: nothing of a file that is read may run."""

import base64
import io
import json
import os
import pickle
import zipfile
import zlib
from argparse import Namespace

import numpy as np
import pytest
import torch
from mmaslp.files.temperature_file import load_temperature
from mmaslp.hosts.mmseg.temperature import fit_checkpoint
from mmengine.runner import Runner

from mmaslp.core.measure.fine_bins import FineBins
from mmaslp.files.prob_maps import read_prob_map
from mmaslp.files.results import load_result
from mmaslp.hosts.mmseg.config import check_checkpoint
from mmaslp.hosts.mmseg.losses import SCBCELoss
from mmaslp.hosts.mmseg.safe_loading import CodeInCheckpoint, _Pickle, safe_loading
from mmaslp.hosts.mmseg.testing import evaluate, test_sets
from mmaslp.hosts.mmseg.training import run_training
from tests.hostile.evil import CONTAINERS, LEGACY, growth, payloads, tool, write_evil

MEGABYTE = 2**20
PLACES = ('state_dict', 'meta', 'optimizer', 'message_hub', 'param_schedulers', 'other')


@pytest.fixture
def hit(tmp_path):
    """What an evil checkpoint makes; it must not be there at the end."""
    path = tmp_path / 'hit'
    yield path
    assert not path.exists()


@pytest.mark.parametrize('container', CONTAINERS)
@pytest.mark.parametrize('payload', payloads(''))
def test_the_check_refuses(tmp_path, hit, container, payload):
    path = write_evil(tmp_path / 'x.pth', hit, container, payload)
    with pytest.raises(ValueError, match=r'x\.pth'):
        check_checkpoint(path)


@pytest.mark.parametrize('place', PLACES)
def test_the_check_names_what_was_asked_for(tmp_path, hit, place):
    path = write_evil(tmp_path / 'x.pth', hit, place=place)
    with pytest.raises(CodeInCheckpoint, match=r'asks for posix.mkdir.*--trust-check'):
        check_checkpoint(path)


@pytest.mark.parametrize('container', ['raw, protocol 4', 'legacy, protocol 4'])
def test_the_name_is_found_in_pickles_that_torch_does_not_read(
    tmp_path, hit, container
):
    path = write_evil(tmp_path / 'x.pth', hit, container)
    with pytest.raises(CodeInCheckpoint, match=r'posix\.mkdir'):
        check_checkpoint(path)


@pytest.mark.parametrize('container', ['zip', 'legacy', 'raw, protocol 2'])
def test_older_torch_refuses_too(tmp_path, hit, container):
    """The way of torch < 2.6, which cannot admit a name for another object."""
    path = write_evil(tmp_path / 'x.pth', hit, container)
    with pytest.raises(Exception, match=r'unsupported GLOBAL posix\.mkdir'):
        torch.load(path, pickle_module=_Pickle, weights_only=False)


@pytest.mark.parametrize('options', [{}, LEGACY], ids=['zip', 'legacy'])
def test_older_torch_reads_weights(tmp_path, options):
    weights = {'w': torch.arange(3.0), 'b': torch.nn.Parameter(torch.ones(2))}
    torch.save(weights, tmp_path / 'x.pth', **options)
    read = torch.load(tmp_path / 'x.pth', pickle_module=_Pickle, weights_only=False)
    assert torch.equal(read['w'], weights['w']) and torch.equal(read['b'], weights['b'])


CONFIGS = {
    'import': 'import os',
    'call': 'x = __import__("os").mkdir({hit!r})',
    'attribute': 'x = ().__class__.__base__.__subclasses__()',
    'lambda': 'x = (lambda: 1)()',
    'comprehension': 'x = [i for i in range(3)]',
    'base': '_base_ = "/tmp/x.py"',
    'base in a tuple': '(_base_, y) = ("/tmp/x.py", 1)',
    'new module': 'custom_imports = dict(imports=["this"])',
    'template': 'x = "{{{{$NO:1}}}}"',
    'function': 'def f(): pass',
    'deleted': 'del dict',
    'format': 'x = f"{{__import__(1)}}"',
    'keyword': 'x = dict(a=open("x"))',
    'no Python': 'x = (',
    'nested': 'x = ' + '(' * 5000,
}


@pytest.mark.parametrize('text', CONFIGS.values(), ids=CONFIGS)
def test_a_saved_config_that_would_run(tmp_path, hit, text):
    """MMEngine executes the config in a checkpoint when it resumes."""
    meta = {'epoch': 1, 'iter': 5, 'config': text.format(hit=str(hit))}
    torch.save({'state_dict': {}, 'meta': meta}, tmp_path / 'x.pth')
    check_checkpoint(str(tmp_path / 'x.pth'))  # no code where it is only data
    with pytest.raises(CodeInCheckpoint, match=r'meta\.config'):
        check_checkpoint(str(tmp_path / 'x.pth'), resume=True)


def resume(cfg, path):
    cfg.load_from, cfg.resume = path, True
    run_training(cfg)


def load_from(cfg, path):
    cfg.load_from = path
    run_training(cfg)


def last_checkpoint(cfg, path):
    os.makedirs(cfg.work_dir)
    os.rename(path, os.path.join(cfg.work_dir, 'epoch_1.pth'))
    with open(os.path.join(cfg.work_dir, 'last_checkpoint'), 'w') as file:
        file.write(os.path.join(cfg.work_dir, 'epoch_1.pth'))
    run_training(cfg, resume=True)


def newest(cfg, path):
    os.makedirs(cfg.work_dir)
    os.rename(path, os.path.join(cfg.work_dir, 'epoch_1.pth'))
    run_training(cfg, resume=True)


def sharded(cfg, path):
    os.makedirs('shards')
    os.rename(path, 'shards/meta.pth')
    load_from(cfg, 'shards')


def pretrained(cfg, path):
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=path)
    run_training(cfg)


def evaluation(cfg, path):
    cfg.load_from = path
    evaluate(cfg, test_sets(cfg))


def fit(cfg, path):
    cfg.load_from = path
    fit_checkpoint(cfg)


WAYS = (
    *(resume, load_from, last_checkpoint, newest, sharded),
    *(pretrained, evaluation, fit),
)


@pytest.mark.parametrize('container', ['zip', 'legacy', 'raw, protocol 2'])
@pytest.mark.parametrize('way', WAYS, ids=lambda way: way.__name__)
def test_no_way_in(toy, tmp_path, hit, way, container):
    path = write_evil(tmp_path / 'x.pth', hit, container)
    with pytest.raises(ValueError, match=r'posix\.mkdir|no whole checkpoint'):
        way(toy.config(tmp_path / 'run', train_cfg=dict(max_epochs=1)), path)


@pytest.mark.parametrize(
    ('name', 'args'),
    [
        ('train', ['CONFIG', '--cfg-options', 'load_from=x.pth']),
        ('train', ['CONFIG', '--resume', '--cfg-options', 'load_from=x.pth']),
        ('test', ['CONFIG', 'x.pth', '--eval', 'ece']),
        ('test', ['CONFIG', 'x.pth', '--eval', 'ece', '--tta']),
        ('fit-temperature', ['CONFIG', 'x.pth']),
    ],
)
def test_no_command_line(toy, tmp_path, hit, capfd, name, args):
    write_evil(tmp_path / 'x.pth', hit)
    toy.config('run').dump('config.py')
    assert tool(name, *[a.replace('CONFIG', 'config.py') for a in args]) == 2
    assert 'x.pth asks for posix.mkdir' in capfd.readouterr().err


def test_what_would_have_happened(toy, tmp_path):
    """The evil checkpoint works, and only --trust-checkpoint lets it."""
    path = write_evil(tmp_path / 'x.pth', tmp_path / 'hit')
    cfg = toy.config('run')
    model = Runner.from_cfg(cfg).model
    with safe_loading(trust=True):
        from mmengine.runner import load_checkpoint

        load_checkpoint(model, path)
    assert (tmp_path / 'hit').is_dir()


def test_an_old_file_of_ones_own_is_tested(toy, tmp_path):
    cfg = toy.config('run', custom_hooks=[])
    runner = Runner.from_cfg(cfg)
    content = {'state_dict': runner.model.state_dict(), 'args': Namespace(lr=1)}
    torch.save(content, 'old.pth')
    cfg.load_from = 'old.pth'
    with pytest.raises(CodeInCheckpoint, match=r'argparse\.Namespace'):
        evaluate(cfg, test_sets(cfg), evals=['ece'])
    cfg.load_from = 'old.pth'
    results = evaluate(cfg, test_sets(cfg), evals=['ece'], trust_checkpoint=True)
    assert 0 <= results['test']['metrics']['acc'] <= 1


# Bombs: a message, and no memory. Each writes a file and names what reads it.


def zip_bomb(path):
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(4):
            archive.writestr(f'{number}.png', bytes(25 * MEGABYTE))


def checkpoint_bomb(folder):
    zip_bomb(folder / 'x.pth')
    return check_checkpoint, str(folder / 'x.pth')


def sparse(folder, name):
    with open(folder / name, 'wb') as file:
        file.write(b'{"a": 1')
        file.truncate(1024 * MEGABYTE)
    return str(folder / name)


def result_bomb(folder):
    return load_result, sparse(folder, 'x.json')


def temperature_bomb(folder):
    return load_temperature, sparse(folder, 'x.json')


def deep(folder):
    (folder / 'x.json').write_text('[' * 100_000)
    return load_result, str(folder / 'x.json')


def deep_temperature(folder):
    (folder / 'x.json').write_text('{"a":' * 100_000)
    return load_temperature, str(folder / 'x.json')


def column_bomb(folder):
    text = base64.b64encode(zlib.compress(bytes(80 * MEGABYTE), 1)).decode()
    return FineBins.from_json, {'number': 260, 'images': [text]}


def columns_bomb(folder):
    """Each column is small, and there are a hundred thousand."""
    text = base64.b64encode(zlib.compress(bytes(2**16 * 16), 9)).decode()
    return FineBins.from_json, {'number': 2**16, 'images': [text] * 2000}


def number_bomb(folder):
    return FineBins.from_json, {'number': 10**12, 'images': []}


def npy_bomb(folder):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, dict(descr='<f8', fortran_order=False, shape=(2**14, 2**16))
    )
    (folder / 'x.npy').write_bytes(buffer.getvalue())
    return read_prob_map, folder / 'x.npy'


def pickled_npy(folder):
    evil = np.array([payloads(folder / 'hit')['os.mkdir']], object)
    np.save(folder / 'x.npy', evil, allow_pickle=True)
    return read_prob_map, folder / 'x.npy'


def pickled_npz(folder):
    evil = np.array([payloads(folder / 'hit')['os.mkdir']], object)
    with open(folder / 'x.npy', 'wb') as file:
        np.savez(file, evil)
    return read_prob_map, folder / 'x.npy'


BOMBS = (
    *(checkpoint_bomb, result_bomb, temperature_bomb),
    *(deep, deep_temperature, column_bomb, columns_bomb, number_bomb),
    *(npy_bomb, pickled_npy, pickled_npz),
)


@pytest.mark.parametrize('bomb', BOMBS, ids=lambda bomb: bomb.__name__)
def test_a_bomb_costs_a_message(tmp_path, hit, bomb):
    message, peak = growth(*bomb(tmp_path))
    assert message and len(message) < 1000
    assert peak < 40 * MEGABYTE
    out = tmp_path / 'out'
    assert sum(f.stat().st_size for f in out.rglob('*')) == 0 if out.exists() else True


@pytest.mark.parametrize('name', ['x.pkl', 'x.pickle', 'x.yaml', 'x.yml', 'x.npy'])
def test_class_weights_are_data(tmp_path, hit, name):
    evil = payloads(hit)['os.mkdir']
    if name.endswith('npy'):
        np.save(tmp_path / name, np.array([evil, evil], object), allow_pickle=True)
    elif name.startswith('x.p'):
        (tmp_path / name).write_bytes(pickle.dumps(evil))
    else:
        call = '!!python/object/apply:os.mkdir'
        (tmp_path / name).write_text(f'{call} [{str(hit)!r}]')
    with pytest.raises(ValueError, match=r'class_weight|allow_pickle'):
        SCBCELoss(class_weight=str(tmp_path / name))


@pytest.mark.parametrize(
    'content',
    [{'temperature': '__import__("os")'}, {'temperature': [1]}, ['x'], 'x', None],
)
def test_a_temperature_file_is_data(tmp_path, content):
    (tmp_path / 't.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match='is no temperature file'):
        load_temperature(str(tmp_path / 't.json'))
