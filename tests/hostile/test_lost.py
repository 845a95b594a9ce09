"""Hostile cases under the heading Lost: no file of the user is replaced or cut."""

import json
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from mmaslp.files.temperature_file import write_temperature
from mmaslp.hosts.mmseg.temperature import fit_checkpoint
from mmaslp.report.maps import check_outputs as check_eval_maps
from mmaslp.report.recalibration import fit_maps, recalibrate_maps
from mmengine.config import Config
from mmengine.logging import MessageHub
from PIL import Image

from mmaslp.files.outputs import check_outputs
from mmaslp.files.prob_maps import write_prob_map
from mmaslp.files.results import save_result
from mmaslp.hosts.mmseg import training
from mmaslp.hosts.mmseg.hooks import ASLPHook
from mmaslp.hosts.mmseg.hooks.level_table import write_level_table
from mmaslp.hosts.mmseg.result_folders import results_folder
from mmaslp.hosts.mmseg.testing import evaluate, test_sets
from mmaslp.hosts.mmseg.training import prepare_training
from mmaslp.hosts.mmseg.work_dir import locked, process_rank
from mmaslp.report.alpha import alpha_histogram
from mmaslp.report.comparison import compare_results
from mmaslp.report.reliability import save_figure
from tests.hostile.evil import in_child, on_a_full_disk, tool, write_evil

# Files of the user, none of which an output may replace.
FILES = {
    'epoch_1.pth': b'PK\x03\x04weights',
    'config.py': b"model = dict(type='x')\n",
    'config.json': b'{"model": {"type": "x"}}',
    'mask.png': None,
    'photo.jpg': None,
    'map.npy': b'\x93NUMPY\x01\x00v',
    'levels.pkl': b'\x80\x04}.',
    'sets.zip': b'PK\x03\x04images',
    'train.txt': b'00\n01\n',
    'table.csv': b'name,score\na,1\n',
    'page.md': b'# Notes\n',
    'figure.svg': b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    'coco.json': b'{"images": [], "annotations": []}',
}


def write_users(folder):
    for name, content in FILES.items():
        if content is None:
            Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(folder / name)
        else:
            (folder / name).write_bytes(content)


def contents(folder):
    files = [path for path in Path(folder).rglob('*') if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def users(tmp_path):
    """A folder of the user, which is the same at the end."""
    folder = tmp_path / 'users'
    folder.mkdir()
    write_users(folder)
    before = contents(folder)
    yield folder
    assert contents(folder) == before


@pytest.mark.parametrize('name', FILES)
@pytest.mark.parametrize('option', ['json', 'report', 'plot'])
def test_eval_maps_over_a_file(users, option, name):
    with pytest.raises(ValueError, match=rf'--(plot|{option})'):
        check_eval_maps(**{option: str(users / name)})


@pytest.mark.parametrize('name', FILES)
@pytest.mark.parametrize('kind', ['temperature', 'comparison', 'levels', 'picture'])
def test_other_outputs_over_a_file(users, kind, name):
    with pytest.raises(ValueError, match='would be lost'):
        check_outputs({'--out': (users / name, kind)})


KINDS = {
    'result': b'{"ece": 0.1, "settings": {"temperature": 2.0}}',
    'temperature': b'{"temperature": 2.0, "nll": {"before": 1, "after": 1}}',
    'comparison': b'{"ece": {"first": 1, "differs": true}}',
    'report': b'<!doctype html>\n<html>',
    'diagram': b'\x89PNG\r\n\x1a\n Software\0Matplotlib version',
    'picture': b'\x89PNG\r\n\x1a\n Software\0mmaslp',
    'levels': b'img_path,alpha\r\n',
}


@pytest.mark.parametrize('there', KINDS)
@pytest.mark.parametrize('kind', KINDS)
def test_an_output_replaces_its_own_kind_only(tmp_path, kind, there):
    path = tmp_path / 'x'
    path.write_bytes(KINDS[there])
    if kind == there:
        check_outputs({'--out': (path, kind)})
    else:
        with pytest.raises(ValueError, match=f'no {kind} of mmaslp'):
            check_outputs({'--out': (path, kind)})


def linked(folder):
    os.symlink(folder / 'result.json', folder / 'link')
    return folder / 'link'


def hard(folder):
    os.link(folder / 'result.json', folder / 'hard')
    return folder / 'hard'


def dotted(folder):
    return folder / '..' / folder.name / 'result.json'


def relative(folder):
    os.chdir(folder)
    return 'result.json'


@pytest.mark.parametrize('way', [linked, hard, dotted, relative])
def test_an_input_under_another_name(tmp_path, monkeypatch, way):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'result.json').write_bytes(KINDS['result'])
    with pytest.raises(ValueError, match='is an input'):
        check_outputs({'--json': (way(tmp_path), 'result')}, [tmp_path / 'result.json'])


@pytest.mark.parametrize(
    ('outputs', 'message'),
    [
        (dict(json='x', report='x'), '--json and --report are the same file'),
        (dict(json='x', report='./x'), 'are the same file'),
        (dict(plot='x.png', report='x_regions.png'), 'are the same file'),
        (dict(json='maps/x.json'), 'lies in maps, which is read'),
        (dict(plot='masks/x.png'), 'lies in masks, which is read'),
        (dict(report='photos/x.html'), 'lies in photos, which is read'),
        (dict(json='maps'), 'is an input'),
        (dict(json='.'), 'is a folder'),
        (dict(report='nowhere/x.html'), 'its folder does not exist'),
    ],
)
def test_eval_maps_outputs_among_each_other(tmp_path, monkeypatch, outputs, message):
    monkeypatch.chdir(tmp_path)
    for name in ('maps', 'masks', 'photos'):
        os.mkdir(name)
    with pytest.raises(ValueError, match=message):
        check_eval_maps(**outputs, images='photos', inputs=['maps', 'masks'])


def test_devices_may_be_written_twice():
    check_eval_maps(json='/dev/null', report='/dev/null')


@pytest.mark.parametrize('which', ['a.json', 'b.json'])
def test_compare_over_its_input(tmp_path, monkeypatch, which):
    monkeypatch.chdir(tmp_path)
    for name in ('a.json', 'b.json'):
        Path(name).write_bytes(KINDS['result'])
    with pytest.raises(ValueError, match='is an input'):
        compare_results('a.json', 'b.json', json=which)
    assert Path(which).read_bytes() == KINDS['result']


@pytest.fixture
def checkpoint(toy):
    torch.save({'state_dict': {}}, 'x.pth')
    cfg = toy.config('run', custom_hooks=[], load_from='x.pth')
    cfg.dump('config.py')
    before = contents('.')
    yield cfg
    assert before.items() <= contents('.').items()


def masks_of(cfg):
    return str(Path(cfg.test_dataloader.dataset.data_root) / 'masks')


def images_of(cfg):
    return str(Path(cfg.test_dataloader.dataset.data_root) / 'images')


def link_to_images(cfg):
    os.symlink(images_of(cfg), 'link')
    return 'link'


@pytest.mark.parametrize('option', ['out', 'out_prob'])
@pytest.mark.parametrize('folder', [masks_of, images_of, link_to_images])
def test_a_test_into_the_data(checkpoint, option, folder):
    with pytest.raises(ValueError, match='is the folder of the inputs'):
        evaluate(checkpoint, test_sets(checkpoint), **{option: folder(checkpoint)})


def test_a_set_whose_name_is_the_folder_of_the_data(checkpoint):
    dataset = checkpoint.test_dataloader.dataset
    checkpoint.test_sets = {'images': dataset}
    with pytest.raises(ValueError, match='is the folder of the inputs'):
        sets = test_sets(checkpoint)
        evaluate(checkpoint, sets, out_prob=dataset.data_root)


@pytest.mark.parametrize('out', ['x.pth', 'config.py', 'toy/val/masks/00.png'])
def test_a_temperature_over_a_file(checkpoint, out):
    with pytest.raises(ValueError, match='would be lost'):
        fit_checkpoint(checkpoint, out)


@pytest.mark.parametrize('out', ['x.pth', 'config.py', 'toy/val/masks/00.png'])
def test_a_report_of_a_test_over_a_file(checkpoint, capfd, out):
    args = ('config.py', 'x.pth', '--eval', 'ece', '--report', out)
    assert tool('test', *args) == 2
    assert 'lost' in capfd.readouterr().err


def test_maps_fitted_or_written_into_their_folders(checkpoint):
    maps, masks = images_of(checkpoint), masks_of(checkpoint)
    for out in ('x.pth', f'{maps}/00.png', f'{masks}/t.json', 'config.py'):
        with pytest.raises(ValueError, match='--fit'):
            fit_maps(maps, masks, out)
    os.symlink(masks, 'link')
    with pytest.raises(ValueError, match='is the folder of the inputs'):
        recalibrate_maps(masks, 'link', 2.0)


def copy_of(image, place):
    Image.open(image).save(place)


@pytest.mark.parametrize('way', [os.symlink, os.link, copy_of])
def test_a_map_over_an_image(tmp_path, way):
    image, place = tmp_path / 'image.png', tmp_path / 'out.png'
    Image.fromarray(np.eye(8, dtype=np.uint8)).save(image)
    before = image.read_bytes()
    way(image, place)
    with pytest.raises(ValueError, match=r'out\.png: the file that is there'):
        write_prob_map(place, np.zeros((8, 8)))
    assert image.read_bytes() == before and len(os.listdir(tmp_path)) == 2


def test_a_map_over_a_map(tmp_path):
    for value in (0.0, 1.0):
        write_prob_map(tmp_path / 'x.png', np.full((8, 8), value))
    assert np.asarray(Image.open(tmp_path / 'x.png')).min() == 65535
    assert os.listdir(tmp_path) == ['x.png']


@pytest.mark.parametrize(
    'name', ['epoch_1.pth', 'last_checkpoint', 'x.json', 'x.csv.pth', '', '.']
)
def test_levels_are_exported_to_tables_only(name):
    with pytest.raises(ValueError, match=r'export must end in \.csv'):
        ASLPHook(export=name)


def test_levels_are_not_exported_over_another_table(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    cfg.custom_hooks[0].export = str(tmp_path / 'mine.csv')
    (tmp_path / 'mine.csv').write_text('name,score\n')
    with pytest.raises(ValueError, match=r'mine\.csv'):
        prepare_training(cfg).train()
    assert (tmp_path / 'mine.csv').read_text() == 'name,score\n'


# The work directory. What is there, how the training is called, and what happens.


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


def folder(path):
    os.makedirs(path)


@pytest.mark.parametrize(
    'there',
    ['epoch_1.pth', 'iter_500.pth', 'best_calib_ece_epoch_2.pth', 'last_checkpoint'],
)
@pytest.mark.parametrize('make', [whole, cut, folder])
def test_a_used_work_directory_stops(begin, make, there):
    make(f'run/{there}')
    with pytest.raises(ValueError, match=r'--resume.*--work-dir.*--overwrite'):
        begin()
    with pytest.raises(ValueError, match='holds a training already'):
        whole('other/epoch_9.pth')
        begin(resume=True, cfg=dict(load_from='other/epoch_9.pth'))


def test_checkpoints_in_another_folder_stop_too(begin):
    whole('elsewhere/run/epoch_1.pth')
    cfg = dict(default_hooks=dict(checkpoint=dict(out_dir='elsewhere')))
    with pytest.raises(ValueError, match='holds a training already'):
        begin(cfg=cfg)
    assert begin(cfg=cfg, resume=True) == 'elsewhere/run/epoch_1.pth'


def test_other_files_are_no_training(begin):
    os.makedirs('run')
    for name in ('notes.txt', 'weights.pth', 'config.py', 'alpha.csv'):
        Path('run', name).write_text('x')
    assert begin() is None


RESUMED = {
    'the newest': ([(whole, 'epoch_2.pth'), (whole, 'epoch_10.pth')], 'epoch_10.pth'),
    'iterations': ([(whole, 'iter_900.pth'), (whole, 'iter_1000.pth')], 'iter_1000'),
    'the newest is cut': ([(whole, 'epoch_2.pth'), (cut, 'epoch_3.pth')], 'epoch_2'),
    'the best does not count': (
        [(whole, 'epoch_2.pth'), (whole, 'best_x_epoch_3.pth')],
        'epoch_2.pth',
    ),
    'nothing': ([], None),
}


@pytest.mark.parametrize('case', RESUMED)
def test_resume_without_last_checkpoint(begin, case):
    files, expected = RESUMED[case]
    for make, name in files:
        make(f'run/{name}')
    start = begin(resume=True)
    assert start is None if expected is None else expected in start


def test_resume_passes_over_code(begin, tmp_path):
    whole('run/epoch_1.pth')
    write_evil('run/epoch_2.pth', tmp_path / 'hit')
    assert begin(resume=True) == 'run/epoch_1.pth'
    assert not (tmp_path / 'hit').exists()


@pytest.mark.parametrize(
    'last',
    [b'', b'nowhere/epoch_9.pth', b'\xff\xfe', b'/dev/null', b'a\nb', b'.', b'run'],
)
def test_a_last_checkpoint_that_names_none(begin, last):
    whole('run/epoch_1.pth')
    Path('run/last_checkpoint').write_bytes(last)
    assert begin(resume=True) == 'run/epoch_1.pth'


def test_the_copy_of_a_work_directory_goes_on_from_its_own_file(begin):
    for name in ('original', 'run'):
        whole(f'{name}/epoch_1.pth')
        Path(name, 'last_checkpoint').write_text('original/epoch_1.pth')
    assert begin(resume=True) == 'run/epoch_1.pth'


@pytest.mark.parametrize(
    'files',
    [
        [(cut, 'epoch_1.pth')],
        [(cut, 'epoch_1.pth'), (cut, 'epoch_2.pth')],
        [(whole, 'best_x_epoch_3.pth')],
        [(cut, 'last_checkpoint')],
    ],
)
def test_resume_stops_where_nothing_is_whole(begin, files):
    for make, name in files:
        make(f'run/{name}')
    before = contents('run')
    with pytest.raises(ValueError, match='there is nothing to resume from'):
        begin(resume=True)
    assert contents('run') == before


def test_overwrite_removes_nothing_before_all_is_checked(begin):
    whole('run/epoch_1.pth')
    assert begin(overwrite=True) is None
    assert contents('run').keys() == {'epoch_1.pth'}
    with pytest.raises(ValueError, match='give one'):
        begin(overwrite=True, resume=True)
    with pytest.raises(ValueError, match=r'would remove run/epoch_1\.pth'):
        begin(overwrite=True, cfg=dict(load_from='run/epoch_1.pth'))


def test_overwrite_removes_the_earlier_training_only(toy):
    for name in ('epoch_9.pth', 'iter_9.pth', 'best_x.pth', 'mine.pth', 'deep/epoch_9'):
        whole(f'run/{name}')
    folder('run/epoch_8.pth')
    prepare_training(toy.config('run'), overwrite=True)
    kept = {'mine.pth', 'deep'}
    assert {p.name for p in Path('run').iterdir() if p.suffix == '.pth'} == {'mine.pth'}
    assert kept <= set(os.listdir('run'))


@pytest.mark.parametrize(('place', 'kept'), [('run', True), ('original', False)])
def test_the_best_checkpoint_of_another_run_is_not_removed(tmp_path, place, kept):
    """The host removes the file that ``best_ckpt`` names when it finds a better one."""
    hub = MessageHub.get_instance(f'best of {place} in {tmp_path}')
    hub.update_info('best_ckpt', str(tmp_path / place / 'best_x.pth'))
    hook = training._KeepOtherBest([str(tmp_path / 'run')])
    hook.before_train(SimpleNamespace(message_hub=hub))
    assert ('best_ckpt' in hub.runtime_info) == kept


# The lock.


def hold(folder, ready, children=0):
    with locked(folder):
        for _ in range(children):
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
        os.write(ready, b'x')
        time.sleep(60)


@pytest.fixture
def holder(tmp_path):
    """A process, with a child, that trains in ``run``."""
    read, ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        hold(str(tmp_path / 'run'), ready, children=1)
    os.read(read, 1)
    yield pid
    os.killpg(pid, signal.SIGKILL)
    os.close(read)
    os.close(ready)


def test_two_trainings_do_not_share_a_work_directory(tmp_path, holder):
    with (
        pytest.raises(ValueError, match=rf'running \(process {holder} on '),
        locked(str(tmp_path / 'run')),
    ):
        pass
    with locked(str(tmp_path / 'other')):
        pass


def test_a_killed_training_leaves_no_lock(tmp_path, holder):
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    with locked(str(tmp_path / 'run')):  # its child lives on
        pass


@pytest.mark.parametrize(
    ('launcher', 'variable', 'expected'),
    [
        ('none', 'RANK', 0),
        (None, 'RANK', 0),
        ('pytorch', 'RANK', 3),
        ('slurm', 'SLURM_PROCID', 3),
        ('mpi', 'OMPI_COMM_WORLD_RANK', 3),
    ],
)
def test_the_first_process_locks(monkeypatch, launcher, variable, expected):
    monkeypatch.setenv(variable, '3')
    assert process_rank(launcher) == expected


def test_a_work_directory_that_cannot_be(tmp_path):
    (tmp_path / 'file').write_text('x')
    for name in ('file', 'file/run'):
        with (
            pytest.raises(ValueError, match='cannot be the work directory'),
            locked(str(tmp_path / name)),
        ):
            pass


# A full disk.

RESULT = {'ece': 0.1, 'settings': {'x': 'y' * 200}}


def a_figure():
    figure = Figure(figsize=(2, 2))
    figure.add_subplot().plot([0, 1])
    return figure


WRITERS = {
    'result.json': lambda path: save_result(path, RESULT),
    'temperature.json': lambda path: write_temperature(str(path), RESULT),
    'levels.csv': lambda path: write_level_table(path, ['x' * 99] * 9, np.zeros(9)),
    'map.png': lambda path: write_prob_map(
        path, np.random.default_rng(0).random((32, 32))
    ),
    'figure.png': lambda path: save_figure(a_figure(), path),
    'figure.pdf': lambda path: save_figure(a_figure(), path),
    'figure.svg': lambda path: save_figure(a_figure(), path),
}


@pytest.mark.parametrize('name', WRITERS)
@pytest.mark.parametrize('there', [None, b'', 'own'])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, name, there):
    if there == 'own':
        WRITERS[name](tmp_path / name)
    elif there is not None:
        (tmp_path / name).write_bytes(there)
    before = contents(tmp_path)
    said = on_a_full_disk(WRITERS[name], tmp_path / name)
    assert 'cannot be written (File too large)' in said and str(tmp_path / name) in said
    assert contents(tmp_path) == before


@pytest.mark.parametrize('name', WRITERS)
def test_a_folder_that_cannot_be_written(tmp_path, name):
    (tmp_path / 'file').write_text('x')
    with pytest.raises(OSError, match=rf'cannot be written .*{name}'):
        WRITERS[name](tmp_path / 'file' / name)


def test_a_fitted_temperature_is_said_before_it_is_written(image_folder, tmp_path):
    image_folder(tmp_path / 'x', 2, 0)
    (tmp_path / 'maps').mkdir()
    for path in (tmp_path / 'x' / 'masks').iterdir():
        mask = np.asarray(Image.open(path)) / 255
        noise = np.random.default_rng(0).random(mask.shape)
        write_prob_map(tmp_path / 'maps' / path.name, 0.4 * mask + 0.6 * noise)

    said, out = [], tmp_path / 't.json'

    def fit():
        fit_maps(tmp_path / 'maps', tmp_path / 'x/masks', out, report=said.append)

    def fail():
        return on_a_full_disk(fit, here=True), said

    error, said = in_child(fail)
    assert 't.json' in error
    assert said and said[0].startswith('temperature ')
    assert not list(tmp_path.glob('t.json*'))


def test_names_that_are_not_utf8(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(b'\xff.png')
    for folder in ('maps', 'masks'):
        os.mkdir(folder)
        image = Image.fromarray(np.eye(8, dtype=np.uint8) * 255)
        image.save(os.path.join(folder, name), 'PNG')
    Path('r.html').write_text('<!doctype html>old')
    write_level_table('x.csv', [name], np.zeros(1))
    assert b'\xff.png' in Path('x.csv').read_bytes()
    args = ('maps', 'masks', '--report', 'r.html', '--json', 'r.json')
    assert tool('eval-maps', *args, '--resamples', '0') == 0
    assert len(Path('r.html').read_text(encoding='utf-8')) > 1000
    assert json.loads(Path('r.json').read_text())['num_images'] == 1


# Names of their own for each way of testing.


def hook(**options):
    return dict(type='TemperatureHook', **options)


TESTS = {
    'raw': ([], False),
    'tta': ([], True),
    'T 2': ([hook(temperature=2.0)], False),
    'T 2.5': ([hook(temperature=2.5)], False),
    'T 2, tta': ([hook(temperature=2.0)], True),
    'regions': ([hook(temperature=dict(edges=[1]))], False),
    'regions, tta': ([hook(temperature=dict(edges=[1]))], True),
    'file': ([hook()], False),
    'another hook': ([dict(type='ASLPHook')], False),
}


def test_each_way_of_testing_has_a_folder():
    folders = {
        name: results_folder(Config(dict(work_dir='run', custom_hooks=hooks)), tta)
        for name, (hooks, tta) in TESTS.items()
    }
    assert folders['raw'] == folders.pop('another hook') == os.path.join('run', 'eval')
    assert len(set(folders.values())) == len(folders)


def test_a_picture_of_ours_is_known_again(tmp_path):
    from mmaslp.files.pictures import write_picture

    for _ in range(2):
        write_picture(tmp_path / 'x.png', alpha_histogram(np.zeros(3), 2.0))
    save_figure(a_figure(), tmp_path / 'y.png')
    check_outputs({'--plot': (tmp_path / 'y.png', 'diagram')})
    with pytest.raises(ValueError, match='no picture'):
        write_picture(tmp_path / 'y.png', np.zeros((8, 8), np.uint8))
    assert json.dumps(sorted(os.listdir(tmp_path))) == '["x.png", "y.png"]'
