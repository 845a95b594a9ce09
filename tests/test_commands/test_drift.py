import json
from functools import partial

import pytest

from mmaslp.commands import run_command
from mmaslp.files.prob_maps import MapReader, write_prob_map
from tests.map_folders import write_set

drift = partial(run_command, 'drift')


def changed(maps, out, power=1.0, prefix=''):
    """Write maps again, their logits times a factor, under other names."""
    out.mkdir()
    for path in maps.iterdir():
        odds = MapReader().read(path).clip(1e-5, 1 - 1e-5)
        odds = (odds / (1 - odds)) ** power
        write_prob_map(out / f'{prefix}{path.name}', odds / (1 + odds))
    return out


@pytest.fixture
def maps(tmp_path):
    return write_set(tmp_path / 'base', 60)


def test_the_same_network_does_not_drift(maps, tmp_path, capsys):
    base, _ = maps
    again = changed(base, tmp_path / 'again')
    other, _ = write_set(tmp_path / 'other', 60, seed=1)
    other = changed(other, tmp_path / 'renamed', prefix='new')
    assert drift([str(base), str(again)]) == 0
    assert '60 maps and 60 of the same images' in capsys.readouterr().out
    assert drift([str(base), str(other)]) == 0
    assert 'of other images' in capsys.readouterr().out


def test_an_over_confident_network_drifts(maps, tmp_path, capsys):
    base, _ = maps
    file = tmp_path / 'c.json'
    assert run_command('fit', [*map(str, maps), '--out', str(file)]) == 0
    hot = changed(base, tmp_path / 'hot', 1.6)
    other, _ = write_set(tmp_path / 'other', 60, seed=1)
    new = changed(other, tmp_path / 'new', 1.6, 'new')
    path = tmp_path / 'd.json'
    for folder in (hot, new):
        args = [str(base), str(folder), '--calibrator', str(file)]
        assert drift([*args, '--json', str(path)]) == 1
        assert 'mean confidence at the border' in capsys.readouterr().out
        found = json.loads(path.read_text())
        assert 'confidence' in found['drifts']
        assert found['figures']['foreground']['drifts'] is False


def test_too_few_maps_are_named(maps, tmp_path, capsys):
    few, _ = write_set(tmp_path / 'few', 5)
    assert drift([str(maps[0]), str(few)]) == 2
    assert '5 maps are too few' in capsys.readouterr().err
