import csv
import json
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mmaslp.commands import run_command
from mmaslp.files.prob_maps import MapReader, write_prob_map
from tests.test_calibration.object_scenes import write_scenes

drift = partial(run_command, 'drift')


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """A calibrator, maps like those of its fit, and maps that are too sure."""
    root = tmp_path_factory.mktemp('drift')
    file = root / 'c.json'
    val = write_scenes(root / 'val', 40)
    assert run_command('fit', [*map(str, val), '--out', str(file)]) == 0
    maps, _ = write_scenes(root / 'new', 40, first=500)
    (root / 'hot').mkdir()
    for path in maps.iterdir():
        odds = MapReader().read(path).clip(1e-5, 1 - 1e-5)
        odds = (odds / (1 - odds)) ** 1.6
        write_prob_map(root / 'hot' / path.name, odds / (1 + odds))
    return file, maps, root / 'hot'


def test_maps_like_those_of_the_fit_do_not_drift(folders, capsys):
    file, maps, _ = folders
    assert drift([str(maps), '--calibrator', str(file)]) == 0
    said = capsys.readouterr().out
    assert 'No difference is seen between the 40 new images' in said
    assert 'With so few images a difference may be missed.' in said


def test_a_calibrator_that_knows_no_images_is_named(folders, tmp_path, capsys):
    file, maps, _ = folders
    content = json.loads(file.read_text())
    content['mask_curves'] = []
    (tmp_path / 'x.json').write_text(json.dumps(content))
    words = [str(maps), '--calibrator', str(tmp_path / 'x.json')]
    for command in (['drift', *words], ['review', *words, '--out', 'r.csv']):
        assert run_command(command[0], command[1:]) == 2
        assert f'{tmp_path}/x.json: this calibrator was' in capsys.readouterr().err


def test_maps_that_are_too_sure_drift(folders, tmp_path, capsys):
    file, _, hot = folders
    path = tmp_path / 'd.json'
    assert drift([str(hot), '--calibrator', str(file), '--json', str(path)]) == 1
    assert 'The 40 new images differ from the 40 images of' in capsys.readouterr().out
    found = json.loads(path.read_text())
    assert found['differs'] is True
    assert found['p_value'] <= 0.001
    before, now = found['means']['share of unsure pixels']
    assert now < before


def test_odd_images_among_many_are_said(folders, tmp_path, capsys):
    file, maps, _ = folders
    some = Path(shutil.copytree(maps, tmp_path / 'some'))
    for path in sorted(some.iterdir())[:2]:
        write_prob_map(path, np.clip(MapReader().read(path), 0.05, 0.6), overwrite=True)
    assert drift([str(some), '--calibrator', str(file)]) == 0
    said = capsys.readouterr().out
    assert 'No difference is seen' in said
    assert '2 of 40 images are outside the range of the validation images' in said

    page, out = tmp_path / 'page.html', tmp_path / 'r.csv'
    args = [str(some), '--calibrator', str(file), '--out', str(out)]
    assert run_command('review', [*args, '--report', str(page)]) == 0
    shown = re.sub(
        '<style.*?</style>|<script.*?</script>|data:[^"]*|<[^>]*>',
        '',
        page.read_text(),
        flags=re.DOTALL,
    )
    assert 'nan' not in shown
    with open(out, newline='') as stream:
        rows = [*csv.DictReader(stream)]
    for row in rows:
        odd = row['out_of_range'] == '1'
        assert (row['area'] == row['accuracy'] == '') == odd

    args = [str(file), str(some), '--out', str(tmp_path / 'cal'), '--masks']
    assert run_command('apply', [*args, 'keep']) == 0
    with pytest.warns(UserWarning, match='2 of 40 images are outside the range'):
        assert run_command('apply', [*args, 'dice', '--overwrite']) == 0


def test_a_review_says_it_first_and_withholds_its_answers(folders, tmp_path, capsys):
    file, _, hot = folders
    out, page = tmp_path / 'r.csv', tmp_path / 'page.html'
    args = [str(hot), '--calibrator', str(file), '--out', str(out)]
    assert run_command('review', [*args, '--report', str(page)]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith('The 40 new images differ from the 40 images of the fit')
    assert first.split(':')[0] in page.read_text()
    assert 'How many to look at' not in page.read_text()  # there is nothing to add up
    with open(out, newline='') as stream:
        rows = [*csv.DictReader(stream)]
    assert {row['dice_low'] for row in rows} == {''}
    assert {row['dice'] for row in rows} == {''}  # what it expects may be wrong too


def test_slices_of_patients_that_are_alike_do_not_drift(tmp_path, capsys):
    """By images they did: four slices of a patient are nearly one."""
    for name, first, patients in (('val', 0, 24), ('new', 500, 16)):
        maps, masks = write_scenes(tmp_path / name, patients, first=first)
        for path in [*maps.iterdir(), *masks.iterdir()]:
            for k in range(4):
                copy = path.with_name(f'{path.stem}_{k}.png')
                if path.parent == masks:
                    shutil.copy(path, copy)
                else:
                    prob = MapReader().read(path)
                    noise = np.random.default_rng(k).normal(0, 0.003, prob.shape)
                    write_prob_map(copy, (prob + noise).clip(0, 1), bits=16)
            path.unlink()

    file = tmp_path / 'c.json'
    groups = ['--groups', '^[^_]+']
    val = [str(tmp_path / 'val' / part) for part in ('maps', 'masks')]
    assert run_command('fit', [*val, '--out', str(file), *groups]) == 0
    found = tmp_path / 'd.json'
    args = [str(tmp_path / 'new' / 'maps'), '--calibrator', str(file)]
    assert drift([*args, *groups, '--json', str(found)]) == 0
    said = capsys.readouterr().out
    assert 'the 64 new images of 16 groups and the 96 images of 24 groups' in said
    assert json.loads(found.read_text())['groups'] == [24, 16]
    assert drift([*args, '--groups', '^']) == 2

    out = ['--out', str(tmp_path / 'r.csv')]
    assert run_command('review', [*args, *groups, *out]) == 0
    assert 'images of 16 groups and the 96 images of 24' in capsys.readouterr().out


def test_an_alarm_that_cannot_ring_is_refused(folders, tmp_path, capsys):
    file = folders[0]
    few, _ = write_scenes(tmp_path / 'few', 4, first=500)
    assert drift([str(few), '--calibrator', str(file)]) == 2
    assert '4 new images are too few to compare with the 40' in capsys.readouterr().err
