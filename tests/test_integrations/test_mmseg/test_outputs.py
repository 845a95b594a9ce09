"""Trainings and tests of MMSegmentation replace and cut no file of the user."""

import os
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmaslp import ReviewHook, fit_calibrator
from mmaslp.integrations.mmseg import training
from mmaslp.integrations.mmseg.testing import EvaluationOptions, evaluate, sets_of_test
from mmaslp.integrations.mmseg.training import (
    check_work_dir,
    check_written_folders,
    prepare_training,
)
from tests.evil import command, write_evil
from tests.grids import pairs


def contents(folder):
    files = [path for path in Path(folder).rglob('*') if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def checkpoint(toy):
    torch.save({'state_dict': {}}, 'x.pth')
    cfg = toy.config('run', custom_hooks=[], load_from='x.pth')
    cfg.dump('config.py')
    before = contents('.')
    yield cfg
    assert before.items() <= contents('.').items()


@pytest.mark.parametrize(
    ('option', 'place'), [('out', 'masks'), ('out_prob', 'images'), ('out', 'link')]
)
def test_a_test_into_the_data(checkpoint, option, place):
    root = checkpoint.test_dataloader.dataset.data_root
    os.symlink(os.path.join(root, 'images'), 'link')
    place = place if place == 'link' else os.path.join(root, place)
    with pytest.raises(ValueError, match='which is read'):
        options = EvaluationOptions(overwrite=True, **{option: place})
        evaluate(checkpoint, sets_of_test(checkpoint), options)


def test_a_test_that_paints_into_the_data(checkpoint):
    root = checkpoint.test_dataloader.dataset.data_root
    checkpoint.visualizer = dict(save_dir=os.path.join(root, 'masks'))
    with pytest.raises(ValueError, match=r'`show_dir` .* which is read'):
        evaluate(checkpoint, sets_of_test(checkpoint))


@pytest.mark.parametrize('part', ['images', 'masks'])
@pytest.mark.parametrize('kind', ['ProbMapHook', 'ReviewHook'])
def test_hooks_of_a_test_into_the_data(checkpoint, kind, part):
    from mmengine.runner import Runner  # as the test.py of MMSegmentation

    folder = os.path.join(checkpoint.test_dataloader.dataset.data_root, part)
    calibrator = fit_calibrator(np.full((5, 4, 4), 0.4), np.eye(4)[None].repeat(5, 0))
    places = {
        'ProbMapHook': dict(out_dir=folder),
        'ReviewHook': dict(out=f'{folder}/000.png', calibrator=calibrator),
    }
    checkpoint.custom_hooks = [dict(type=kind, overwrite=True, **places[kind])]
    with pytest.raises(ValueError, match='which is read'):
        Runner.from_cfg(checkpoint).test()


def test_a_review_hook_keeps_its_calibrator(tmp_path):
    file = tmp_path / 'calibrator.json'
    fit_calibrator(np.full((5, 4, 4), 0.4), np.eye(4)[None].repeat(5, 0)).save(file)
    before = file.read_bytes()
    with pytest.raises(ValueError, match='is an input'):
        ReviewHook(str(file), str(file), overwrite=True)
    assert file.read_bytes() == before


@pytest.mark.parametrize('name', ['../../x', '/tmp/x', 'a/b', '..', '', 'a\nb', 3])
def test_a_set_whose_name_is_a_path(checkpoint, name):
    checkpoint.test_sets = {name: checkpoint.test_dataloader.dataset}
    with pytest.raises(ValueError, match='test_sets'):
        sets_of_test(checkpoint)


@pytest.fixture
def run_here(toy):
    """A config with a comment in its own work directory; main(words) of the command."""
    cfg = toy.config('.', custom_hooks=[dict(type='CalibratorHook')])
    cfg.pop('experiment_name')
    cfg.pop('work_dir')
    cfg.train_cfg.max_epochs = 1
    cfg.dump('c.py')
    Path('c.py').write_text('# Why I train so.\n' + Path('c.py').read_text())
    return lambda *words: command(words[0], 'c.py', *words[1:], '--work-dir', '.')


def test_a_config_stays_in_its_work_directory(run_here):
    text = Path('c.py').read_text()
    assert run_here('train') == 0
    assert run_here('train', '--overwrite') == 0
    assert run_here('test', 'epoch_1.pth') == 0
    assert Path('c.py').read_text() == text


def test_a_config_of_the_same_name_stays(run_here):
    Path('exp').mkdir()
    Path('exp/c.py').write_text('# mine\n')
    assert command('train', 'c.py', '--work-dir', 'exp') == 0
    assert Path('exp/c.py').read_text() == '# mine\n'
    assert len([*Path('exp').glob('2*.py')]) == 1
    # The training that takes its place replaces that of the one before.
    Path('exp/c.py').unlink()
    assert command('train', 'c.py', '--work-dir', 'exp', '--overwrite') == 0
    before = Path('exp/c.py').read_text()
    words = ('--overwrite', '--cfg-options', 'randomness.seed=3')
    assert command('train', 'c.py', '--work-dir', 'exp', *words) == 0
    assert Path('exp/c.py').read_text() != before


FOREIGN = {
    'a calibrator': ('train', 'calibrator.json'),
    'metrics of a test': ('test epoch_1.pth', 'eval/results.json'),
    'a result': ('test epoch_1.pth', 'eval/test/calibration_test.json'),
    'a diagram': (
        'test epoch_1.pth --out my --cfg-options test_evaluator.0.draw=True',
        'my/reliability_test.png',
    ),
    'a picture': ('test epoch_1.pth --eval iou --out my', 'my/00.png'),
    'a map': ('test epoch_1.pth --out-prob my', 'my/01.png'),
    'a page': ('test epoch_1.pth --report r.html', 'r.report.json'),
}


@pytest.mark.parametrize('case', FOREIGN)
@pytest.mark.usefixtures('plain_charts')
def test_a_run_replaces_no_foreign_file(run_here, capsys, case):
    words, name = FOREIGN[case]
    words = words.split()
    if words[0] == 'test':
        init_default_scope('mmseg')
        model = MODELS.build(Config.fromfile('c.py').model)
        torch.save({'state_dict': model.state_dict()}, 'epoch_1.pth')
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text('mine')
    assert run_here(*words) == 2
    assert name in capsys.readouterr().err
    assert Path(name).read_text() == 'mine'

    assert run_here(*words, '--overwrite') == 0
    assert Path(name).read_bytes() != b'mine'


def test_a_test_paints_over_no_earlier_picture(run_here, capsys):
    init_default_scope('mmseg')
    model = MODELS.build(Config.fromfile('c.py').model)
    torch.save({'state_dict': model.state_dict()}, 'epoch_1.pth')
    mine = Path('my/test/vis_data/vis_image/test_00.png_0.png')
    mine.parent.mkdir(parents=True)
    mine.write_text('mine')
    Path('my/mine.png').write_text('mine')  # no picture of a test
    config = Path('c.py').read_text()
    hook = "default_hooks = dict(visualization=dict(type='SegVisualizationHook'))"
    backend = "vis_backends=[dict(type='LocalVisBackend')]"
    shown = f"visualizer = dict(type='SegLocalVisualizer', {backend})"
    Path('c.py').write_text(f'{config}\n{hook}\n{shown}\n')
    words = ['test', 'epoch_1.pth', '--show-dir', 'my']
    assert run_here(*words) == 2
    assert '--show-dir' in capsys.readouterr().err
    assert mine.read_text() == 'mine'
    mine.unlink()
    assert run_here(*words) == 0


@pytest.mark.parametrize(
    ('words', 'name'),
    pairs(
        ['fit X --out', 'test X --calibrator C --review', 'test X --report'],
        ['toy/val/images/00.png', 'toy/val/masks/00.png', 'c.py', 'e.py', 'X'],
    ),
)
def test_a_run_replaces_nothing_that_it_reads(run_here, toy, capsys, words, name):
    init_default_scope('mmseg')
    model = MODELS.build(Config.fromfile('c.py').model)
    torch.save({'state_dict': model.state_dict()}, 'X')
    fit_calibrator(np.full((5, 4, 4), 0.4), np.eye(4)[None].repeat(5, 0)).save('C')
    Path('e.py').write_text("_base_ = 'c.py'\n")
    before = contents('.')
    verb, *others = words.split()
    assert command(verb, 'e.py', *others, name, '--overwrite') == 2
    assert re.search('an input|which is read|ends with .html', capsys.readouterr().err)
    assert before.items() <= contents('.').items()


@pytest.mark.parametrize('metric', ['iou', 'sod'])
def test_a_calibrator_without_an_effect(run_here, capsys, metric):
    init_default_scope('mmseg')
    model = MODELS.build(Config.fromfile('c.py').model)
    torch.save({'state_dict': model.state_dict()}, 'X')
    fit_calibrator(np.full((5, 4, 4), 0.4), np.eye(4)[None].repeat(5, 0)).save('C')
    words = ['test', 'X', '--eval', metric, '--calibrator', 'C']
    assert run_here(*words) == 2
    assert '--calibrator has no effect' in capsys.readouterr().err
    assert run_here(*words, '--out-prob', 'maps') == 0


@pytest.mark.parametrize('part', ['images', 'masks'])
def test_a_training_into_the_data(run_here, capsys, part):
    assert command('train', 'c.py', '--work-dir', f'toy/train/{part}') == 2
    assert 'contains images: name another --work-dir' in capsys.readouterr().err


def test_a_hook_that_writes_into_the_data(tmp_path):
    hooks = [CheckpointHook(out_dir='s3://bucket'), CheckpointHook()]
    hooks.append(CheckpointHook(out_dir=str(tmp_path / 'images' / 'new')))
    runner = SimpleNamespace(work_dir=str(tmp_path / 'run'), hooks=hooks[:2])
    check_written_folders(runner, [str(tmp_path / 'images')])
    runner.hooks = hooks
    with pytest.raises(ValueError, match=r'out_dir of CheckpointHook .*/images/new'):
        check_written_folders(runner, [str(tmp_path / 'images')])


@pytest.mark.parametrize(
    'visualizer',
    [
        dict(save_dir='toy/train/images/new'),
        dict(vis_backends=[dict(type='LocalVisBackend', save_dir='toy/val/masks')]),
    ],
)
def test_a_visualizer_that_writes_into_the_data(toy, visualizer):
    cfg = toy.config('run', visualizer=visualizer)
    with pytest.raises(ValueError, match=r'of the visualizer toy/(train|val)/'):
        check_work_dir(cfg)


def test_a_training_in_a_used_work_directory_goes_on_as_in_mmsegmentation(run_here):
    """Its own tool trains again in the same folder; the files of hooks are replaced."""
    from mmengine.runner import Runner

    assert run_here('train') == 0
    first = Path('calibrator.json').read_bytes()
    cfg = Config.fromfile('c.py')
    cfg.work_dir, cfg.randomness = '.', dict(seed=9)
    Runner.from_cfg(cfg).train()
    assert Path('calibrator.json').read_bytes() != first


class Built(Exception):
    """The checks let the training begin."""


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """What a training would start from: call, with the work directory ``run``."""
    monkeypatch.chdir(tmp_path)

    def build(cfg):
        raise Built(cfg.get('load_from'))

    monkeypatch.setattr(training, 'build_runner', build)

    def call(**options):
        overrides = options.pop('cfg', {})
        cfg = Config(dict(work_dir='run', **overrides))
        with pytest.raises(Built) as built:
            prepare_training(cfg, **options)
        return built.value.args[0]

    return call


def whole(path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    torch.save({'state_dict': {}, 'meta': {'epoch': 1, 'iter': 1}}, path)


def cut(path):
    whole(path)
    Path(path).write_bytes(Path(path).read_bytes()[:200])


@pytest.mark.parametrize(
    ('make', 'there'),
    pairs(
        [whole, cut, os.makedirs],
        ['epoch_1.pth', 'iter_500.pth', 'best_ece_epoch_2.pth', 'last_checkpoint'],
    ),
)
def test_a_used_work_directory_stops(begin, make, there):
    make(f'run/{there}')
    with pytest.raises(ValueError, match=r'`work_dir`.*`overwrite`'):
        begin()
    with pytest.raises(
        ValueError, match=r'contains a training already|not a file|utf-8'
    ):
        whole('other/epoch_9.pth')
        begin(resume=True, cfg=dict(load_from='other/epoch_9.pth'))


def last(content):
    Path('run').mkdir(exist_ok=True)
    Path('run/last_checkpoint').write_text(content)


def test_resume_takes_the_last_checkpoint(begin):
    whole('run/epoch_1.pth')
    whole('run/epoch_2.pth')
    last('run/epoch_1.pth')
    assert begin(resume=True) == 'run/epoch_1.pth'


def test_resume_in_a_folder_that_was_moved(begin):
    whole('run/epoch_1.pth')
    last('/nowhere/run/epoch_1.pth')
    assert begin(resume=True) == 'run/epoch_1.pth'


def test_resume_in_a_copy_of_a_folder_takes_its_own_checkpoint(begin):
    whole('run/epoch_1.pth')
    whole('original/epoch_1.pth')
    last(f'{Path.cwd()}/original/epoch_1.pth')
    assert begin(resume=True) == 'run/epoch_1.pth'


def test_resume_does_not_wait_for_a_pipe(begin):
    Path('run').mkdir()
    os.mkfifo('run/last_checkpoint')
    with pytest.raises(ValueError, match='last_checkpoint: not a file'):
        begin(resume=True)


def test_resume_where_nothing_is_lost_starts_anew(begin):
    assert begin(resume=True) is None


@pytest.mark.parametrize(
    ('make', 'name', 'words'),
    [
        (cut, 'epoch_1.pth', 'epoch_1.pth is damaged'),
        (write_evil, 'epoch_1.pth', 'asks for'),
        (None, 'epoch_1.pth', 'no checkpoint at'),
        (whole, 'best_x_epoch_3.pth', 'contains a training already'),
    ],
)
def test_resume_stops_where_the_last_is_not_whole(begin, tmp_path, make, name, words):
    if make is write_evil:
        os.makedirs('run')
        write_evil(f'run/{name}', tmp_path / 'hit')
    elif make:
        make(f'run/{name}')
    if name == 'epoch_1.pth':
        last(f'run/{name}')
    before = contents('run')
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        begin(resume=True)
    assert contents('run') == before
    assert not (tmp_path / 'hit').exists()


def test_overwrite_removes_nothing_before_all_is_checked(begin):
    whole('run/epoch_1.pth')
    assert begin(overwrite=True) is None
    assert contents('run').keys() == {'epoch_1.pth'}
    with pytest.raises(ValueError, match='`overwrite`'):
        begin(overwrite=True, resume=True)
    with pytest.raises(ValueError, match=r'run/epoch_1\.pth'):
        begin(overwrite=True, cfg=dict(load_from='run/epoch_1.pth'))


def test_overwrite_removes_the_earlier_training_only(toy):
    for name in (
        'epoch_9.pth',
        'iter_9.pth',
        'best_x_epoch_9.pth',
        'mine.pth',
        'deep/epoch_9',
    ):
        whole(f'run/{name}')
    os.makedirs('run/epoch_8.pth')
    whole('run/last_checkpoint')
    before = set(os.listdir('run'))
    runner = prepare_training(toy.config('run'), overwrite=True)
    # Until the new training has saved something, it may fail.
    assert before <= set(os.listdir('run'))
    runner.call_hook('before_save_checkpoint', checkpoint={})
    assert before <= set(os.listdir('run'))
    runner.train()
    assert {p.name for p in Path('run').iterdir() if p.suffix == '.pth'} == {
        *('mine.pth', 'epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth')
    }
    assert {'mine.pth', 'deep'} <= set(os.listdir('run'))
