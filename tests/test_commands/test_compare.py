import json
from functools import partial
from pathlib import Path

import pytest

from mmaslp.commands import run_command
from mmaslp.files.prob_maps import MapReader, write_prob_map
from mmaslp.metrics import BAND_ERRORS
from tests.map_folders import Folders, main

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
    found = json.loads(path.read_text())
    results = [json.loads(Path(f).read_text()) for f in files]
    for key in ('ece', 'nll', 'brier', 'conf', 'ece_image', *BAND_ERRORS):
        assert found[key]['first'] == pytest.approx(results[0][key])
        assert found[key]['difference'] == pytest.approx(
            results[1][key] - results[0][key]
        )
    assert found['conf']['differs']
    assert found['conf']['high'] < 0
    printed = capsys.readouterr().out
    assert '3 images' in printed
    assert all(name in printed for name in ('ECE by band', 'ECE by true band', 'IoU'))


def test_both_models_of_one_file(folders, tmp_path, capsys):
    files = result_files(folders, tmp_path)
    both = tmp_path / 'both.json'
    both.write_text(json.dumps([json.loads(Path(f).read_text()) for f in files]))
    capsys.readouterr()
    assert compare([*files, '--resamples', '9']) == 0
    expected = capsys.readouterr().out.splitlines()[1:]
    for names in ([], ['--name', 'pred', 'soft']):
        assert compare([str(both), *names, '--resamples', '9']) == 0
        _, named, *found = capsys.readouterr().out.splitlines()
        assert named == 'first: pred, second: soft'
        assert found == expected
    assert compare(files[:1]) == 2
    assert 'name a second file' in capsys.readouterr().err
    assert compare([str(both), '--name', 'pred', 'other']) == 2
    assert 'name one (--name)' in capsys.readouterr().err


def test_comparison_of_other_settings_is_refused(folders, tmp_path, capsys):
    files = result_files(folders, tmp_path)
    folders.run('--json', files[1], '--bins', '15')
    assert compare(files) == 2
    assert 'bins is 10' in capsys.readouterr().err
    folders.run('--json', files[1], '--protocol', 'released')
    assert compare(files) == 2
    assert 'protocol' in capsys.readouterr().err
