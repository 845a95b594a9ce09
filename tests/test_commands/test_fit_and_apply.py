"""Two commands, from a folder of maps to calibrated maps."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmaslp.calibration import Calibrator
from mmaslp.commands import run_command
from mmaslp.commands.groups import group_numbers
from mmaslp.evaluation.result import load_results
from mmaslp.files.images import is_calibrated
from mmaslp.files.prob_maps import MapReader
from tests.map_folders import write_set


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp('maps')
    val, test = write_set(root / 'val', 40), write_set(root / 'test', 15, seed=1)
    assert run_command('fit', [*map(str, val), '--out', str(root / 'cal.json')]) == 0
    return root, val, test


def errors(capsys):
    return capsys.readouterr().err.splitlines()[0]


def test_calibrated_maps_are_better_and_keep_their_masks(folders, tmp_path, capsys):
    root, _, (maps, masks) = folders
    out, cal = tmp_path / 'out', root / 'cal.json'
    args = [str(cal), str(maps), '--out', str(out)]
    assert run_command('apply', [*args, '--masks', 'keep']) == 0
    assert f'15 masks in {out}_masks' in capsys.readouterr().out
    for path in maps.iterdir():
        decided = MapReader().read(path) > 0.5
        assert np.array_equal(MapReader().read(out / path.name) > 0.5, decided)
        mask = np.asarray(Image.open(tmp_path / 'out_masks' / path.name)) > 0
        assert np.array_equal(mask, decided)
    files = []
    for folder in (maps, out):
        files.append(tmp_path / f'{folder.parent.name}{folder.name}.json')
        args = [str(folder), str(masks), '--json', str(files[-1]), '--resamples', '0']
        assert run_command('eval-maps', args) == 0
    raw, calibrated = (json.loads(file.read_text()) for file in files)
    assert calibrated['acc'] == raw['acc']
    assert calibrated['ece'] < 0.3 * raw['ece']
    assert calibrated['ece_band'] < 0.4 * raw['ece_band']
    assert calibrated['nll'] < 0.8 * raw['nll']
    # A result says by itself that its maps are calibrated.
    assert run_command('compare', list(map(str, files))) == 0
    assert 'without a calibrator' in capsys.readouterr().out
    both = str(tmp_path / 'both.json')
    args = [str(maps), str(out), str(masks), '--json', both]
    assert run_command('eval-maps', args) == 0
    assert run_command('compare', [both]) == 0
    assert 'Use the calibrator' in capsys.readouterr().out


@pytest.mark.parametrize('low, high, cut', [(0.1, 0.8, True), (0.5004, 0.5004, False)])
def test_masks_that_are_cut_from_their_maps(tmp_path, recwarn, low, high, cut):
    maps, masks = write_set(tmp_path, 6)
    for path in masks.iterdir():
        mask = np.asarray(Image.open(path)) > 0
        np.save(maps / f'{path.stem}.npy', np.where(mask, high, low))
        (maps / path.name).unlink()
    assert run_command('eval-maps', [str(maps), str(masks)]) == 0
    assert any('give true masks' in str(each.message) for each in recwarn) == cut


@pytest.mark.parametrize('ending', ['.npy', '.png'])
def test_maps_of_per_cent_are_compared_with_calibrated_ones(folders, tmp_path, ending):
    _, _, (maps, masks) = folders
    percent = tmp_path / 'percent'
    percent.mkdir()
    for path in maps.iterdir():
        values = np.rint(100 * MapReader().read(path)).astype(np.uint8)
        if ending == '.png':
            Image.fromarray(values).save(percent / path.name)
        else:
            np.save(percent / f'{path.stem}.npy', values)
    scale = ['--max-value', '100']
    cal, out = str(tmp_path / 'c.json'), str(tmp_path / 'out')
    assert run_command('fit', [str(percent), str(masks), '--out', cal, *scale]) == 0
    assert run_command('apply', [cal, str(percent), '--out', out, *scale]) == 0
    alone, both = (str(tmp_path / name) for name in ('alone.json', 'both.json'))
    args = [out, str(masks), '--json', alone]
    assert run_command('eval-maps', args) == 0
    args = [str(percent), out, str(masks), '--json', both, *scale]
    assert run_command('eval-maps', args) == 0
    raw, calibrated = load_results(both)
    assert calibrated.metrics == load_results(alone)[0].metrics
    assert calibrated.metrics['ece'] < raw.metrics['ece']


@pytest.mark.parametrize('kind', ['png', 'npy'])
def test_maps_are_not_calibrated_twice(folders, tmp_path, capsys, kind):
    root, _, (maps, masks) = folders
    cal, out = str(root / 'cal.json'), str(tmp_path / 'out')
    if kind == 'npy':
        maps, images = tmp_path / 'maps', maps
        maps.mkdir()
        for path in images.iterdir():
            np.save(maps / f'{path.stem}.npy', MapReader().read(path))
    assert run_command('apply', [cal, str(maps), '--out', out]) == 0
    again = ['--out', str(tmp_path / 'again')]
    for words in (
        ['apply', cal, out],
        ['review', out, '--calibrator', cal],
        ['fit', out, str(masks)],
    ):
        assert run_command(words[0], [*words[1:], *again]) == 2
        assert 'calibrated already' in capsys.readouterr().err
    assert run_command('eval-maps', [out, str(masks), '--resamples', '0']) == 0


def test_a_map_beside_calibrated_ones_stays_one_of_the_network(folders, tmp_path):
    root, _, (maps, _) = folders
    path = sorted(maps.iterdir())[0]
    for name in ('given', 'out'):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / f'{name}.npy', MapReader().read(path))
    args = [str(root / 'cal.json'), str(tmp_path / 'given'), '--out']
    with pytest.warns(UserWarning, match='other files too'):
        assert run_command('apply', [*args, str(tmp_path / 'out')]) == 0
    assert is_calibrated(tmp_path / 'out' / 'given.npy')
    assert not is_calibrated(tmp_path / 'out' / 'out.npy')
    os.rename(tmp_path / 'given' / 'given.npy', tmp_path / 'given' / 'two.npy')
    with pytest.warns(UserWarning, match='other files too'):
        assert run_command('apply', [*args, str(tmp_path / 'out')]) == 0
    assert is_calibrated(tmp_path / 'out' / 'given.npy')
    assert is_calibrated(tmp_path / 'out' / 'two.npy')
    # The network's map in the place of a calibrated one, whose mark stays.
    shutil.copy(tmp_path / 'given' / 'two.npy', tmp_path / 'out')
    assert not is_calibrated(tmp_path / 'out' / 'two.npy')


def test_a_calibrated_volume_says_so_wherever_it_is_copied(tmp_path, capsys):
    nib = pytest.importorskip('nibabel')
    (tmp_path / 'maps').mkdir()
    rng = np.random.default_rng(0)
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    for k in range(5):
        values = rng.random((6, 5, 4), np.float32)
        image = nib.Nifti1Image(values, affine)
        own = nib.nifti1.Nifti1Extension('comment', b'of the scanner')
        image.header.extensions.append(own)
        nib.save(image, tmp_path / 'maps' / f'{k}.nii.gz')
    cal = str(tmp_path / 'cal.json')
    Calibrator('temperature', 'single', 'confidence', [([0, 10], [0, 5])]).save(cal)
    out = tmp_path / 'out'
    assert run_command('apply', [cal, str(tmp_path / 'maps'), '--out', str(out)]) == 0

    (tmp_path / 'copy').mkdir()
    for path in out.glob('*.nii.gz'):
        shutil.copy(path, tmp_path / 'copy')
    again = ['--out', str(tmp_path / 'again')]
    assert run_command('apply', [cal, str(tmp_path / 'copy'), *again]) == 2
    assert (
        '0.nii.gz: it is calibrated already, as its header' in capsys.readouterr().err
    )
    copied = nib.load(tmp_path / 'copy' / '0.nii.gz')
    assert [each.get_content() for each in copied.header.extensions] == [
        b'of the scanner',
        b'mmaslp calibrated',
    ]
    assert (copied.affine == affine).all()
    # The maps of the network are still what they are, also in this process.
    assert run_command('apply', [cal, str(tmp_path / 'maps'), *again]) == 0


def test_masks_that_are_not_the_maps_cut_at_half_are_said(folders, tmp_path, capsys):
    root, _, (maps, _) = folders
    for masks in ('keep', 'accuracy'):
        out = tmp_path / masks
        args = [str(root / 'cal.json'), str(maps), '--out', str(out), '--masks', masks]
        assert run_command('apply', args) == 0
        said = 'they give the masks of --masks keep' in capsys.readouterr().out
        assert said == (masks == 'accuracy')


def test_maps_of_an_earlier_run_are_said(folders, tmp_path, recwarn):
    root, _, (maps, _) = folders
    copies = Path(shutil.copytree(maps, tmp_path / 'maps'))
    out = tmp_path / 'out'
    args = [str(root / 'cal.json'), str(copies), '--out', str(out), '--masks', 'keep']
    assert run_command('apply', args) == 0
    assert run_command('apply', [*args, '--overwrite']) == 0
    assert not recwarn.list
    min(copies.iterdir()).unlink()
    with pytest.warns(match=r'out contains other files too.*: 000\.png$'):
        assert run_command('apply', [*args, '--overwrite']) == 0
    shutil.rmtree(out)
    with pytest.warns(match=r'out_masks contains other files too.*: 000\.png$'):
        assert run_command('apply', [*args, '--overwrite']) == 0


@pytest.mark.parametrize('name', ['000.png', '000.npy', 'other.png'])
def test_masks_of_the_user_stay_apart(folders, tmp_path, capsys, recwarn, name):
    root, _, (maps, _) = folders
    mine = tmp_path / 'day_masks' / name
    mine.parent.mkdir()
    mine.write_text('mine')
    args = [str(root / 'cal.json'), str(maps), '--out', str(tmp_path / 'day')]
    stays = name.startswith('000')
    assert run_command('apply', [*args, '--masks', 'keep']) == 2 * stays
    assert (f'--masks {mine} exists already' in capsys.readouterr().err) == stays
    assert (tmp_path / 'day').exists() != stays  # asked before a map was read
    warned = any('day_masks contains other files' in str(w.message) for w in recwarn)
    assert warned != stays
    assert mine.read_text() == 'mine'


def test_a_map_is_read_once_and_all_or_nothing_is_written(
    folders, tmp_path, monkeypatch
):
    root, _, (maps, _) = folders
    copies = Path(shutil.copytree(maps, tmp_path / 'maps'))
    args = [str(root / 'cal.json'), str(copies), '--masks', 'keep', '--out']
    read = MapReader.read
    paths = []

    def counted(self, stored):
        paths.append(stored.path)
        return read(self, stored)

    monkeypatch.setattr(MapReader, 'read', counted)
    assert run_command('apply', [*args, str(tmp_path / 'a' / 'out')]) == 0
    assert sorted(paths) == sorted(copies.iterdir())
    max(copies.iterdir()).write_bytes(b'cut')
    assert run_command('apply', [*args, str(tmp_path / 'b' / 'out')]) == 2
    assert {path.name for path in tmp_path.iterdir()} == {'maps', 'a'}


def test_a_calibrator_of_images_refuses_volumes(folders, tmp_path, capsys):
    root, _, (maps, _) = folders
    (tmp_path / 'maps').mkdir()
    slices = [MapReader().read(path) for path in sorted(maps.iterdir())[:3]]
    np.save(tmp_path / 'maps' / 'a.npy', np.stack(slices))
    cal, volumes = str(root / 'cal.json'), str(tmp_path / 'maps')
    refused = 'this calibrator was fitted to images, and not to volumes'
    assert run_command('apply', [cal, volumes, '--out', str(tmp_path / 'out')]) == 2
    assert refused in capsys.readouterr().err
    args = [volumes, '--calibrator', cal, '--out', str(tmp_path / 'review.csv')]
    assert run_command('review', args) == 2
    assert refused in capsys.readouterr().err


def test_two_processes_write_the_same(folders, tmp_path):
    root, (maps, masks), (test_maps, _) = folders
    cal = tmp_path / 'cal.json'
    args = [str(maps), str(masks), '--out', str(cal), '--workers', '2']
    assert run_command('fit', args) == 0
    assert cal.read_bytes() == (root / 'cal.json').read_bytes()
    for workers in '12':
        args = [str(cal), str(test_maps), '--out', str(tmp_path / workers)]
        assert run_command('apply', [*args, '--workers', workers]) == 0
    for path in (tmp_path / '1').iterdir():
        assert path.read_bytes() == (tmp_path / '2' / path.name).read_bytes()


@pytest.mark.parametrize('pattern', [r'\d$', r'\d(\d)$', r'(x)?\d(\d)$'])
def test_files_of_a_group_share_what_the_pattern_finds(pattern):
    names = [f'{k:03}' for k in range(40)]
    assert group_numbers(re.compile(pattern), names) == [k % 10 for k in range(40)]


def test_what_is_asked_for_is_fitted(folders, tmp_path, capsys):
    _, val, _ = folders
    args = [*map(str, val), '--out', str(tmp_path / 'cal.json')]
    options = ['--method', 'platt', '--by', 'single', '--target', 'probability']
    assert run_command('fit', [*args, *options, '--groups', r'^\d\d']) == 2
    said = capsys.readouterr().err
    assert 'finds only 00, 01, 02, 03 in the names' in said
    assert "as '^[^_]+_[^_]+' matches lesion_07 in lesion_07_ct1" in said
    assert run_command('fit', [*args, *options, '--groups', '.+']) == 2
    assert 'finds another text in each name' in capsys.readouterr().err
    with pytest.warns(UserWarning, match='so each file counts as a group'):
        assert group_numbers(re.compile('.+'), ['a', 'b']) == [0, 1]
    assert run_command('fit', [*args, *options, '--groups', r'\d(\d)$']) == 0
    found = Calibrator.load(tmp_path / 'cal.json')
    assert (found.method, found.by, found.target) == ('platt', 'single', 'probability')
    assert found.record['groups'] == 10
    assert found.record['images'] == 40
    said = capsys.readouterr().out
    assert '40 images of 10 groups' in said
    assert 'Mean Dice: masks of the network' in said


@pytest.mark.parametrize(
    ('change', 'options', 'message'),
    [
        (lambda maps, masks: maps.rename(maps.with_name('x')), [], 'neither a folder'),
        (
            lambda maps, masks: [p.unlink() for k in '12' for p in maps.glob(f'*{k}*')],
            [],
            'has no partner in',
        ),
        (None, ['--groups', '('], 'not a pattern'),
        (None, ['--groups', 'patient'], 'matches nothing in 000'),
        (None, ['--logits'], 'logits are read from files that end with .npy, .npz'),
    ],
)
def test_bad_input_is_one_error(tmp_path, capsys, change, options, message):
    maps, masks = write_set(tmp_path, 12)
    if change:
        change(maps, masks)
    out = tmp_path / 'cal.json'
    args = [str(maps), str(masks), '--out', str(out), *options]
    assert run_command('fit', args) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_outputs_never_replace_inputs(folders, tmp_path, capsys):
    root, _, (maps, _) = folders
    cal = root / 'cal.json'
    assert run_command('apply', [str(cal), str(maps), '--out', str(maps)]) == 2
    assert 'which is read: write elsewhere' in errors(capsys)
    (tmp_path / 'mine.json').write_text('{"a": 1}')
    args = [*map(str, write_set(tmp_path / 's', 12)), '--out']
    assert run_command('fit', [*args, str(tmp_path / 'mine.json')]) == 2
    assert (tmp_path / 'mine.json').read_text() == '{"a": 1}'


def test_a_scale_that_leaves_nothing_above_half_is_told(folders, tmp_path):
    root, _, (maps, _) = folders
    stored = tmp_path / 'stored'
    stored.mkdir()
    for path in maps.iterdir():
        np.save(stored / f'{path.stem}.npy', MapReader().read(path))
    args = [str(root / 'cal.json'), str(stored), '--masks', 'keep', '--out']
    with pytest.warns(UserWarning, match='no probability is above 1/2'):
        assert run_command('apply', [*args, str(tmp_path / 'a'), '--max-value=2']) == 0
    assert run_command('apply', [*args, str(tmp_path / 'b')]) == 0


def test_masks_lie_beside_the_folder_that_dots_lead_to(folders, tmp_path, monkeypatch):
    root, _, (maps, _) = folders
    monkeypatch.chdir(tmp_path)
    args = [str(root / 'cal.json'), str(maps), '--out', 'o/sub/..', '--masks', 'keep']
    assert run_command('apply', args) == 0
    assert {path.name for path in tmp_path.iterdir()} == {'o', 'o_masks'}
    assert len([*(tmp_path / 'o_masks').iterdir()]) == 15
