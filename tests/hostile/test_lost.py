"""Hostile places: no file of the user is replaced or cut."""

import os
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from mmengine.config import Config
from PIL import Image

from mmaslp import Calibrator
from mmaslp.commands.demo import run_demo
from mmaslp.common.outputs import check_outputs, write_output
from mmaslp.files.calibrated_maps import apply_calibrator
from mmaslp.files.prob_maps import write_prob_map
from mmaslp.files.results import calibration_result, save_result
from mmaslp.integrations.mmseg import training
from mmaslp.integrations.mmseg.testing import evaluate, test_sets
from mmaslp.integrations.mmseg.training import prepare_training
from mmaslp.metrics import CalibrationHistogram, ImageTable
from mmaslp.report.diagrams import save_figure
from tests.grids import pairs
from tests.hostile.evil import command, on_a_full_disk, write_evil
from tests.map_folders import write_set

# Files of the user, none of which an output may replace.
FILES = {
    'epoch_1.pth': b'PK\x03\x04weights',
    'config.py': b"model = dict(type='x')\n",
    'mask.png': None,
    'photo.jpg': None,
    'table.csv': b'name,score\na,1\n',
    'figure.svg': b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    'coco.json': b'{"images": [], "annotations": []}',
}
# What our own files of each kind contain.
KINDS = {
    'result': b'{"format": "mmaslp result 3", "ece": 0.1}',
    'comparison': b'{"format": "mmaslp comparison", "ece": {"first": 1}}',
    'report': b'<!doctype html>\n<meta name="generator" content="mmaslp">',
    'diagram': b'\x89PNG\r\n\x1a\n Software\0diagram of mmaslp',
    'picture': b'\x89PNG\r\n\x1a\n Software\0mmaslp',
}

CALIBRATOR = Calibrator('temperature', 'single', 'confidence', [([0, 10], [0, 5])])


def contents(folder):
    files = [path for path in Path(folder).rglob('*') if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize(('kind', 'name'), pairs(list(KINDS), list(FILES)))
def test_an_output_over_a_file(tmp_path, kind, name):
    path, content = tmp_path / name, FILES[name]
    if content is None:
        Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(path)
    else:
        path.write_bytes(content)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r'--out .*would be lost'):
        check_outputs({'--out': (path, kind)})
    assert contents(tmp_path) == before


@pytest.mark.parametrize('kind', KINDS)
def test_an_output_replaces_its_own_kind_only(tmp_path, kind):
    path = tmp_path / 'x'
    for there, content in KINDS.items():
        path.write_bytes(content)
        if kind == there:
            check_outputs({'--out': (path, kind)})
        else:
            with pytest.raises(
                ValueError, match=f'not a {kind} of this version of mmaslp'
            ):
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
    ('options', 'message'),
    [
        ('--json x --report ./x', '--json and --report are the same file'),
        ('--plot x.png --report x_bands.png', 'are the same file'),
        ('--json maps/x.json', 'lies in maps, which is read'),
        ('--images photos --report photos/x.html', 'lies in photos, which is read'),
        ('--json .', 'is a folder'),
        ('--report nowhere/x.html', 'its folder does not exist'),
        ('--plot x.jpg', 'x.jpg: write one of'),
        ('--images nowhere --report x.html', 'no such folder'),
        ('--json /dev/null --report /dev/null', 'there are no maps in this folder'),
    ],
)
def test_outputs_among_each_other(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    for name in ('maps', 'masks', 'photos'):
        os.mkdir(name)
    given = ('eval-maps', 'maps', 'masks', *options.split())
    assert command(*given) == 2
    assert message in capsys.readouterr().err


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
    with pytest.raises(ValueError, match='is the folder of the inputs'):
        evaluate(checkpoint, test_sets(checkpoint), **{option: place})


@pytest.mark.parametrize('name', ['../../x', '/tmp/x', 'a/b', '..', '', 'a\nb', 3])
def test_a_set_whose_name_is_a_path(checkpoint, name):
    checkpoint.test_sets = {name: checkpoint.test_dataloader.dataset}
    with pytest.raises(ValueError, match='cannot be the name of a folder'):
        test_sets(checkpoint)


def test_a_set_whose_name_is_the_folder_of_the_data(checkpoint):
    dataset = checkpoint.test_dataloader.dataset
    checkpoint.test_sets = {'images': dataset}
    with pytest.raises(ValueError, match='is the folder of the inputs'):
        evaluate(checkpoint, test_sets(checkpoint), out_prob=dataset.data_root)


def copy_of(image, place):
    Image.open(image).save(place)


@pytest.mark.parametrize('way', [os.symlink, os.link, copy_of])
def test_a_map_over_an_image(tmp_path, way):
    image, place = tmp_path / 'image.png', tmp_path / 'out.png'
    Image.fromarray(np.eye(8, dtype=np.uint8)).save(image)
    before = image.read_bytes()
    way(image, place)
    refused = r'out\.png( is a link|: the file that is there)'
    with pytest.raises(ValueError, match=refused):
        write_prob_map(place, np.zeros((8, 8)))
    assert image.read_bytes() == before
    assert len(os.listdir(tmp_path)) == 2


# The work directory. What is there, how the training is called, and what happens.


class Built(Exception):
    """The checks let the training begin."""


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """What a training would start from: call, with the work directory ``run``."""
    monkeypatch.chdir(tmp_path)

    def build(cfg, trains):
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
    ('make', 'there'),
    pairs(
        [whole, cut, folder],
        ['epoch_1.pth', 'iter_500.pth', 'best_ece_epoch_2.pth', 'last_checkpoint'],
    ),
)
def test_a_used_work_directory_stops(begin, make, there):
    make(f'run/{there}')
    with pytest.raises(ValueError, match=r'--work-dir.*--overwrite'):
        begin()
    with pytest.raises(ValueError, match='holds a training already'):
        whole('other/epoch_9.pth')
        begin(resume=True, cfg=dict(load_from='other/epoch_9.pth'))


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
    'last', [b'', b'nowhere/epoch_9.pth', b'\xff\xfe', b'/dev/null', b'run']
)
def test_a_last_checkpoint_that_names_none(begin, last):
    whole('run/epoch_1.pth')
    Path('run/last_checkpoint').write_bytes(last)
    assert begin(resume=True) == 'run/epoch_1.pth'


def test_resume_passes_over_a_cut_last_checkpoint(begin):
    whole('run/epoch_1.pth')
    cut('run/epoch_2.pth')
    Path('run/last_checkpoint').write_text('run/epoch_2.pth')
    assert begin(resume=True) == 'run/epoch_1.pth'


def test_a_training_without_a_checkpoint_is_not_said_to_go_on(begin):
    Path('run').mkdir()
    Path('run/last_checkpoint').write_text('elsewhere/epoch_2.pth')
    with pytest.raises(ValueError, match='holds a training already') as refused:
        begin()
    assert '--resume' not in str(refused.value)


@pytest.mark.parametrize(
    ('make', 'name'),
    [(cut, 'epoch_1.pth'), (whole, 'best_x_epoch_3.pth'), (cut, 'last_checkpoint')],
)
def test_resume_stops_where_nothing_is_whole(begin, make, name):
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
    assert {p.name for p in Path('run').iterdir() if p.suffix == '.pth'} == {'mine.pth'}
    assert {'mine.pth', 'deep'} <= set(os.listdir('run'))


# A full disk.


def a_figure():
    figure = Figure(figsize=(2, 2))
    figure.add_subplot().plot([0, 1])
    return figure


WRITERS = {
    'result.json': lambda path: save_result(
        path, calibration_result(CalibrationHistogram(), ImageTable.of_rows([]))
    ),
    'text.csv': lambda path: write_output(path, 'img_path,alpha' + 'x' * 200, 'levels'),
    'map.png': lambda path: write_prob_map(
        path, np.random.default_rng(0).random((32, 32))
    ),
    'figure.pdf': lambda path: save_figure(a_figure(), path),
}


@pytest.mark.parametrize(('name', 'there'), pairs([*WRITERS], [None, b'', 'own']))
def test_a_full_disk_leaves_what_was_there(tmp_path, name, there):
    if there == 'own':
        WRITERS[name](tmp_path / name)
    elif there is not None:
        (tmp_path / name).write_bytes(there)
    before = contents(tmp_path)
    said = on_a_full_disk(WRITERS[name], tmp_path / name)
    assert 'cannot be written (File too large)' in said
    assert str(tmp_path / name) in said
    assert contents(tmp_path) == before


def test_a_device_stays_a_device(tmp_path):
    knots = [([0, 1], [0, 1])]
    os.mkfifo(tmp_path / 'x')
    reader = os.open(tmp_path / 'x', os.O_RDONLY | os.O_NONBLOCK)
    Calibrator('identity', 'single', 'confidence', knots).save(tmp_path / 'x')
    assert b'mmaslp calibrator' in os.read(reader, 10**6)
    assert (tmp_path / 'x').is_fifo()
    os.close(reader)


@pytest.mark.parametrize('kind', ['file', 'symlink', 'link'])
@pytest.mark.parametrize('suffix', ['.npy', '.npz', '.json'])
def test_apply_replaces_no_file_that_may_be_of_the_user(tmp_path, suffix, kind):
    maps, out = tmp_path / 'maps', tmp_path / 'out'
    maps.mkdir()
    out.mkdir()
    name = f'a{suffix}'
    if suffix == '.npy':
        np.save(maps / name, np.full((8, 8), 0.9))
    else:
        name = name if suffix == '.npz' else 'dataset.json'
        np.savez(maps / 'a.npz', probabilities=np.full((8, 8), 0.9))
        (maps / 'dataset.json').write_text('{"labels": {"background": 0, "a": 1}}')
    if kind == 'file':
        (out / name).write_text('mine')
    else:
        (os.symlink if kind == 'symlink' else os.link)(maps / name, out / name)
    before = contents(tmp_path)
    refused = f'{name} is (there already|a link)'
    same = (suffix, kind) == ('.json', 'link')  # nothing would be lost
    with nullcontext() if same else pytest.raises(ValueError, match=refused):
        apply_calibrator(CALIBRATOR, maps, out)
    assert {key: contents(tmp_path)[key] for key in before} == before


def test_apply_keeps_a_mask_of_the_user(tmp_path):
    maps, mine = tmp_path / 'maps', tmp_path / 'out_masks' / 'a.png'
    for folder in (maps, mine.parent):
        folder.mkdir()
    write_prob_map(maps / 'a.png', np.full((8, 8), 0.9))
    Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(mine)
    before = mine.read_bytes()
    with pytest.raises(ValueError, match='would be lost'):
        apply_calibrator(CALIBRATOR, maps, tmp_path / 'out', masks='keep')
    assert mine.read_bytes() == before


# What the third trial lost.


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
    assert Path('c_run.py').read_text().startswith('# Config of a run of mmaslp')
    written = Path('c_run.py').read_text()
    assert run_here('train', '--overwrite') == 0
    assert run_here('test', 'epoch_1.pth') == 0
    assert Path('c.py').read_text() == text
    assert Path('c_run.py').read_text() == written


FOREIGN = {
    'a calibrator': (['train'], 'calibrator.json', b'{"a": 1}'),
    'figures of a test': (['test', 'epoch_1.pth'], 'eval/results.json', b'{"a": 1}'),
    'a result': (
        ['test', 'epoch_1.pth'],
        'eval/test/calibration_test.json',
        b'{"a": 1}',
    ),
    'a diagram': (
        ['test', 'epoch_1.pth', '--out', 'my'],
        'my/reliability_test.png',
        b'\x89PNG',
    ),
    'a photograph': (
        ['test', 'epoch_1.pth', '--eval', 'iou', '--out', 'my'],
        'my/00.png',
        b'\x89PNG',
    ),
}


@pytest.mark.parametrize('case', FOREIGN)
def test_a_run_replaces_no_foreign_file(run_here, capsys, case):
    words, name, content = FOREIGN[case]
    if words[0] == 'test':
        assert run_here('train') == 0
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(content)
    assert run_here(*words) == 2
    assert 'would be lost' in capsys.readouterr().err
    assert Path(name).read_bytes() == content


@pytest.mark.parametrize('linked', [False, True])
def test_the_demo_of_maps_replaces_no_mask(tmp_path, linked):
    mine = tmp_path / 'data' / 'val' / 'masks' / '000.png'
    mine.parent.mkdir(parents=True)
    place = tmp_path / 'mine.png' if linked else mine
    Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(place)
    if linked:
        mine.symlink_to(place)
    before = contents(tmp_path)
    assert command('demo', '--maps', '--work-dir', tmp_path / 'data') == 2
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    'there', [{'train.log': 'mine'}, {'train.log': '$ mmaslp x', 'epoch_1.pth': 'x'}]
)
def test_a_refused_demo_empties_no_log(tmp_path, there):
    folder = tmp_path / 'bce'
    folder.mkdir()
    for name, text in there.items():
        (folder / name).write_text(text)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r'would be lost|holds a training already'):
        run_demo(tmp_path)
    assert contents(tmp_path) == before


def test_an_interrupted_apply_goes_on(tmp_path):
    maps, out = tmp_path / 'maps', tmp_path / 'out'
    maps.mkdir()
    for name in 'ab':
        np.savez(maps / f'{name}.npz', prob=np.full((8, 8), 0.9))
    apply_calibrator(CALIBRATOR, maps, out)
    whole = contents(out)
    (out / 'b.npz').unlink()
    apply_calibrator(CALIBRATOR, maps, out)
    assert contents(out) == whole


@pytest.mark.parametrize('where', ['link.json', 'maps/sub'])
def test_a_link_and_a_folder_of_inputs(tmp_path, monkeypatch, where):
    monkeypatch.chdir(tmp_path)
    maps, masks = write_set(tmp_path, 12)
    words = ['fit', maps, masks, '--out', where]
    if where == 'link.json':
        CALIBRATOR.save('mine.json')
        os.symlink('mine.json', where)
    else:
        CALIBRATOR.save('mine.json')
        words = ['apply', 'mine.json', maps, '--out', where]
    before = contents(tmp_path)
    assert command(*words) == 2
    assert contents(tmp_path) == before
    assert where != 'link.json' or Path(where).is_symlink()
