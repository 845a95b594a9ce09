"""Hostile checkpoints: nothing of them may run, and none costs the memory."""

import io
import os
import shutil
import zipfile
from argparse import Namespace
from urllib.error import URLError

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from mmaslp.evaluation.result import load_results
from mmaslp.files.prob_maps import MapReader
from mmaslp.integrations.mmseg.checkpoint import (
    check_checkpoint,
    load_safely,
    safe_loading,
)
from mmaslp.integrations.mmseg.testing import EvaluationOptions, evaluate, sets_of_test
from mmaslp.integrations.mmseg.training import run_training
from tests.evil import CONTAINERS, growth, payloads, write_evil
from tests.grids import pairs


@pytest.mark.parametrize('place', ['load_from', 'pretrained'])
def test_a_checkpoint_that_is_fetched(tmp_path, monkeypatch, place):
    """It is read as one of the disk is."""
    from mmengine.runner import CheckpointLoader

    write_evil(tmp_path / 'x.pth', tmp_path / 'hit')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(
        'torch.hub.download_url_to_file',
        lambda url, to, *rest, **options: shutil.copy(tmp_path / 'x.pth', to),
    )
    scheme = {
        'load_from': 'https://x.org/x.pth',
        'pretrained': 'torchvision://resnet18',
    }
    with safe_loading(), pytest.raises(ValueError, match=r'posix\.mkdir'):
        CheckpointLoader.load_checkpoint(scheme[place], 'cpu')
    assert not (tmp_path / 'hit').exists()


def test_a_checkpoint_that_cannot_be_fetched():
    def refuse(*words, **options):
        raise URLError('no such host')

    with pytest.raises(ValueError, match=r'x\.pth is damaged, or cannot be fetched \('):
        load_safely('https://x.org/x.pth', read=refuse)


@pytest.fixture
def hit(tmp_path):
    """What an evil file makes; it must not be there at the end."""
    path = tmp_path / 'hit'
    yield path
    assert not path.exists()


@pytest.mark.parametrize(
    ('container', 'payload'), pairs(list(CONTAINERS), list(payloads('')))
)
def test_the_check_refuses(tmp_path, hit, container, payload):
    path = write_evil(tmp_path / 'x.pth', hit, container, payload)
    with pytest.raises(ValueError, match=r'x\.pth'):
        check_checkpoint(path)


@pytest.mark.parametrize(
    ('place', 'container'),
    zip(
        ('state_dict', 'meta', 'optimizer', 'message_hub', 'other'),
        ('zip', 'legacy', 'raw, protocol 4', 'legacy, protocol 4', 'raw, protocol 2'),
    ),
)
def test_the_check_names_what_was_asked_for(tmp_path, hit, place, container):
    path = write_evil(tmp_path / 'x.pth', hit, container, place=place)
    wanted = 'more than tensors' if 'protocol 4' in container else 'posix.mkdir'
    with pytest.raises(ValueError, match=f'asks for {wanted}.*`trust_check'):
        check_checkpoint(path)


def test_a_file_of_another_kind_is_called_so(tmp_path):
    (tmp_path / 'x.json').write_text('{}')
    with pytest.raises(ValueError, match=r'x\.json is no checkpoint, or asks for more'):
        check_checkpoint(tmp_path / 'x.json')


def test_a_saved_config_that_would_run(toy, hit):
    """MMEngine executes ``meta.config`` of a checkpoint when it resumes."""
    run_training(toy.config('run', train_cfg=dict(max_epochs=1)))
    checkpoint = torch.load('run/epoch_1.pth', weights_only=False)
    checkpoint['meta']['config'] = f'x = __import__("os").mkdir({str(hit)!r})'
    torch.save(checkpoint, 'run/epoch_1.pth')
    runner = run_training(toy.config('run'), resume=True)
    assert runner.epoch == 3


def resume(cfg, path):
    cfg.load_from, cfg.resume = path, True
    run_training(cfg)


def load_from(cfg, path):
    cfg.load_from = path
    run_training(cfg)


def newest(cfg, path):
    os.makedirs(cfg.work_dir)
    latest = os.path.join(cfg.work_dir, 'epoch_1.pth')
    os.rename(path, latest)
    with open(os.path.join(cfg.work_dir, 'last_checkpoint'), 'w') as file:
        file.write(latest)
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
    evaluate(cfg, sets_of_test(cfg))


WAYS = [resume, load_from, newest, sharded, pretrained, evaluation]


@pytest.mark.parametrize(
    ('way', 'container'),
    pairs(WAYS, ['zip', 'legacy', 'raw, protocol 2']),
    ids=lambda value: getattr(value, '__name__', value),
)
def test_no_way_in(toy, tmp_path, hit, way, container):
    path = write_evil(tmp_path / 'x.pth', hit, container)
    with pytest.raises(ValueError, match=r'posix\.mkdir'):
        way(toy.config(tmp_path / 'run', train_cfg=dict(max_epochs=1)), path)


def test_what_would_have_happened(toy, tmp_path):
    """The evil checkpoint works, and only --trust-checkpoint lets it."""
    path = write_evil(tmp_path / 'x.pth', tmp_path / 'hit')
    model = Runner.from_cfg(toy.config('run')).model
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
    with pytest.raises(ValueError, match=r'argparse\.Namespace'):
        evaluate(cfg, sets_of_test(cfg), EvaluationOptions(evals=['ece']))
    cfg.load_from = 'old.pth'
    options = EvaluationOptions(evals=['ece'], trust_checkpoint=True)
    results = evaluate(cfg, sets_of_test(cfg), options)
    assert 0 <= results['test'].metrics['acc'] <= 1


MEGABYTE = 2**20


# Each writes a file, and gives what reads it. A bomb costs a message, and no memory.
def checkpoint_bomb(folder):
    path = folder / 'x.pth'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(4):
            archive.writestr(f'{number}.png', bytes(25 * MEGABYTE))
    return check_checkpoint, str(path)


def result_bomb(folder):
    with open(folder / 'x.json', 'wb') as file:
        file.write(b'{"a": 1')
        file.truncate(1024 * MEGABYTE)
    return load_results, str(folder / 'x.json')


def npy_bomb(folder):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, dict(descr='<f8', fortran_order=False, shape=(2**14, 2**16))
    )
    (folder / 'x.npy').write_bytes(buffer.getvalue())
    return MapReader().read, folder / 'x.npy'


BOMBS = (checkpoint_bomb, result_bomb, npy_bomb)


@pytest.mark.parametrize('bomb', BOMBS, ids=lambda bomb: bomb.__name__)
def test_a_bomb_costs_a_message(tmp_path, hit, bomb):
    message, peak = growth(*bomb(tmp_path))
    assert message
    assert len(message) < 1000
    assert peak < 40 * MEGABYTE
