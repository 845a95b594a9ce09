import json
import re
import shutil
from functools import partial
from pathlib import Path

import pytest

from mmaslp.commands import run_command
from mmaslp.commands.groups import group_numbers
from mmaslp.files.prob_maps import MapReader, write_prob_map
from mmaslp.metrics.image_metrics import BAND_ERRORS
from tests.map_folders import Folders, main, write_set

compare = partial(run_command, 'compare')


@pytest.fixture
def folders(tmp_path):
    return Folders(tmp_path)


def result_files(folders, tmp_path):
    other = tmp_path / 'soft'
    other.mkdir()
    for path in folders.pred.iterdir():
        write_prob_map(other / path.name, 0.5 + 0.5 * (MapReader().read(path) - 0.5))
    files = [str(tmp_path / f'{n}.json') for n in ('sharp', 'soft')]
    for folder, file in zip((folders.pred, other), files):
        assert main([str(folder), str(folders.gt), '--json', file]) == 0
    return files


def test_comparison(folders, tmp_path, capsys):
    files = result_files(folders, tmp_path)
    path = tmp_path / 'c.json'
    assert compare([*files, '--json', str(path), '--resamples', '100']) == 0
    [comparison] = json.loads(path.read_text())['comparisons']
    found = comparison['metrics']
    results = [json.loads(Path(f).read_text()) for f in files]
    for key in ('ece', 'nll', 'brier', 'conf', 'ece_image', *BAND_ERRORS):
        assert found[key]['first'] == pytest.approx(results[0][key])
        assert found[key]['difference'] == pytest.approx(
            results[1][key] - results[0][key]
        )
    assert found['conf']['high'] < 0
    # Three images cannot tell, however large the difference is.
    assert not any(change['differs'] for change in found.values())
    assert all(change['p_value'] is None for change in found.values())
    assert 'too few images to tell soft from pred: 3 images' in comparison['verdict']
    printed = capsys.readouterr().out
    assert printed.splitlines().count(comparison['verdict']) == 1
    assert '3 images' in printed
    assert all(name in printed for name in ('ECE by band', 'ECE by true band', 'IoU'))


def test_both_models_of_one_file(folders, tmp_path, capsys):
    files = result_files(folders, tmp_path)
    both = tmp_path / 'both.json'
    both.write_text(json.dumps([json.loads(Path(f).read_text()) for f in files]))
    capsys.readouterr()
    assert compare([*files, '--resamples', '9']) == 0
    expected = capsys.readouterr().out.splitlines()
    assert not any('nan' in line for line in expected)
    assert compare([str(both), '--resamples', '9']) == 0
    assert capsys.readouterr().out.splitlines() == expected
    assert any(line.startswith('soft minus pred on') for line in expected)
    assert compare(files[:1]) == 2
    assert 'name a second file' in capsys.readouterr().err


def test_comparison_of_other_settings_is_refused(folders, tmp_path, capsys):
    files = result_files(folders, tmp_path)
    folders.run('--json', files[1], '--bins', '15', '--overwrite')
    assert compare(files) == 2
    assert 'bins is 10' in capsys.readouterr().err
    folders.run('--json', files[1], '--protocol', 'released', '--overwrite')
    assert compare(files) == 2
    assert 'protocol' in capsys.readouterr().err


def kinds(folders, tmp_path):
    """Files of two networks, each with a raw and a calibrated row."""
    files = result_files(folders, tmp_path)
    plain = [json.loads(Path(f).read_text()) for f in files]
    paths = []
    for name, rows in (('one', plain), ('two', plain[::-1])):
        raw, calibrated = (json.loads(json.dumps(row)) for row in rows)
        raw['model'] = name
        calibrated |= {'model': f'{name}, calibrated'}
        calibrated['settings']['calibrator'] = 'c.json'
        paths.append(tmp_path / f'{name}.json')
        paths[-1].write_text(json.dumps([raw, calibrated]))
    return [str(path) for path in paths]


def test_rows_are_compared_like_with_like(folders, tmp_path, capsys):
    files = kinds(folders, tmp_path)
    capsys.readouterr()
    assert compare([*files, '--resamples', '100']) == 0
    said = capsys.readouterr().out
    assert 'two minus one on' in said
    assert 'two, calibrated minus one, calibrated on' in said
    assert 'Only ' not in said
    for row in files:  # one file: the calibrated row against its raw one
        assert compare([row, '--resamples', '100']) == 0
    said = capsys.readouterr().out
    assert 'one, calibrated minus one on' in said
    assert 'two, calibrated minus two on' in said


def test_raw_with_calibrated_is_said(folders, tmp_path, capsys):
    files = kinds(folders, tmp_path)
    for place, file in enumerate(files):
        rows = json.loads(Path(file).read_text())
        Path(file).write_text(json.dumps(rows[place]))
    capsys.readouterr()
    assert compare([*files, '--resamples', '100']) == 0
    said = capsys.readouterr().out
    assert 'two, calibrated minus one on' in said
    assert said.startswith('Only one is without a calibrator')


def test_a_status_for_products(tmp_path, capsys):
    folders = [tmp_path / name for name in ('base', 'hot', 'new')]
    files = []
    for number, folder in enumerate(folders):
        folder.mkdir()
        maps, masks = write_set(folder, 40, seed=number // 2)
        if folder.name == 'hot':  # logits times 1.6
            for path in maps.iterdir():
                odds = MapReader().read(path).clip(1e-5, 1 - 1e-5)
                odds = (odds / (1 - odds)) ** 1.6
                write_prob_map(path, odds / (1 + odds), overwrite=True)
        if folder.name == 'new':
            for file in (*maps.iterdir(), *masks.iterdir()):
                file.rename(file.with_name(f'new{file.name}'))
        files.append(str(tmp_path / f'{folder.name}.json'))
        assert main([str(maps), str(masks), '--json', files[-1]]) == 0
    capsys.readouterr()
    base, hot, new = files
    fail = '--fail-if-worse'
    for figures in (['conf'], ['ece_band', 'nonsense']):
        assert compare([base, hot, fail, *figures]) == 2
        assert 'cannot ring; take one of ece' in capsys.readouterr().err
    for key in ('ks', 'ece_em', 'mae'):  # no interval, or no value
        assert compare([base, hot, fail, key]) == 2
        assert 'the alarm cannot ring' in capsys.readouterr().err
    again = str(tmp_path / 'again.json')
    shutil.copy(base, again)
    assert compare([base, again, fail]) == 0
    assert 'no alarm: it rings where' in capsys.readouterr().out
    assert compare([base, new, fail]) == 0
    assert 'unpaired' in capsys.readouterr().out
    for first in (base, new):
        assert compare([first, hot, fail]) == 1
        assert 'worse: ece_band of maps' in capsys.readouterr().out
        assert compare([hot, first, fail]) == 0
    assert compare([base, hot, fail, 'ece_band', fail, 'dice']) == 1
    assert compare([base, hot, fail, '--resamples', '100']) == 2
    assert '--resamples' in capsys.readouterr().err


def test_rows_that_belong_together(folders, tmp_path, capsys):
    sharp, soft = (
        json.loads(Path(f).read_text()) for f in result_files(folders, tmp_path)
    )
    named = [
        [{**sharp, 'model': 'maps'}, {**soft, 'model': 'calibrated'}],
        [{**soft, 'model': 'maps'}, {**sharp, 'model': 'calibrated'}],
    ]
    files = [str(tmp_path / f'{name}.json') for name in ('base', 'new')]
    for file, rows in zip(files, named):
        Path(file).write_text(json.dumps(rows))
    capsys.readouterr()
    assert compare([*files, '--resamples', '9']) == 0
    said = capsys.readouterr().out
    assert 'maps (2) minus maps (1) on' in said
    assert 'calibrated (2) minus calibrated (1) on' in said
    named[1][0]['model'] = 'other'
    named[1][1]['model'] = 'another'
    Path(files[1]).write_text(json.dumps(named[1]))
    assert compare(files) == 2
    assert 'not clear which rows belong together' in capsys.readouterr().err


def test_files_come_before_options(capsys):
    with pytest.raises(SystemExit, match='2'):
        compare(['--fail-if-worse', 'base.json', 'tonight.json'])
    assert 'name them before options' in capsys.readouterr().err


def test_patients_are_told_by_their_names(tmp_path, capsys):
    files = []
    for name in ('base', 'new'):
        maps, masks = write_set(tmp_path / name, 24)
        for file in (*maps.iterdir(), *masks.iterdir()):
            number = int(file.stem)
            place = file.with_name(f'p{number % 12:02d}_{number}{file.suffix}')
            file.rename(place)
            if name == 'new' and place.parent == maps:
                prob = 0.5 + 0.5 * (MapReader().read(place) - 0.5)
                write_prob_map(place, prob, overwrite=True)
        files.append(str(tmp_path / f'{name}.json'))
        groups = ['--groups', '^[^_]+'] if name == 'base' else []
        assert main([str(maps), str(masks), '--json', files[-1], *groups]) == 0
    capsys.readouterr()
    for groups in ([], ['--groups', '^p[0-9]+']):
        assert compare([*files, '--resamples', '50', *groups]) == 0
        said = capsys.readouterr().out
        assert '24 images, in 12 groups, 95 % intervals over groups' in said
    few = compare([*files, '--resamples', '50', '--groups', '^p[01]'])
    assert few == 0
    said = capsys.readouterr().out
    assert 'too few groups: a test of all these metrics needs' in said
    assert compare([*files, '--groups', '(']) == 2
    assert compare([*files, '--groups', 'x']) == 2
    capsys.readouterr()
    assert compare([*files, '--groups', '^p']) == 2
    assert '--groups ^p: finds only p in the names' in capsys.readouterr().err


def test_of_several_models_the_best_is_said_first(folders, tmp_path, capsys):
    files = result_files(folders, tmp_path)
    rows = [json.loads(Path(file).read_text()) for file in files]
    three = tmp_path / 'three.json'
    three.write_text(json.dumps([*rows, {**rows[1], 'model': 'third'}]))
    capsys.readouterr()
    assert compare([str(three), '--resamples', '9']) == 0
    printed = capsys.readouterr().out
    assert printed.startswith('Best of all 3 is ')
    assert printed.index('third: ') < printed.index('\n')


def test_what_two_parentheses_find_is_not_joined():
    """``p_1-2`` and ``p-1_2`` are two groups, though both read p_1_2 when joined."""
    names = ['p_1-2-a.png', 'p_1-2-b.png', 'p-1_2-a.png', 'p-1_2-b.png']
    pattern = re.compile('^([^-]+)-([^-]+)')
    assert group_numbers(pattern, names) == [0, 0, 1, 1]
