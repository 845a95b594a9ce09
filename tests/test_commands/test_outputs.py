"""No command replaces or cuts a file; test_common/test_outputs.py has the rule."""

import os
from pathlib import Path

import pytest

from mmaslp import Calibrator
from mmaslp.commands import COMMANDS, main
from tests.evil import command
from tests.map_folders import write_set

# Every command that writes beside a training: its words, and all that it writes.
WRITES = {
    'eval-maps': (
        'maps masks --json r.json --plot p.png --report r.html',
        'r.json p.png p_bands.png r.html r.report.json',
    ),
    'fit': ('maps masks --out c.json', 'c.json'),
    'apply': ('cal.json maps --out out --masks keep', 'out/003.png out_masks/011.png'),
    'review': (
        'maps --calibrator cal.json --out r.csv --objects o.csv --report r.html',
        'r.csv o.csv r.html',
    ),
    'compare': ('a.json a.json --json c.json', 'c.json'),
    'report': ('a.json -o p.html', 'p.html p.report.json'),
    'drift': ('maps2 --calibrator cal.json --json d.json', 'd.json'),
}


# A training has a work directory; it, a test and the demo have tests of their own, the
# doctor writes a new file only, and prepare leaves a set that is divided as it is.
ELSEWHERE = {'train', 'test', 'demo', 'doctor', 'prepare'}


def test_all_commands_are_tried():
    assert {*WRITES} | ELSEWHERE == {*COMMANDS}


def contents(folder):
    files = [path for path in Path(folder).rglob('*') if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """The inputs of all commands."""
    folder = tmp_path_factory.mktemp('made')
    write_set(folder, 12)
    os.rename(folder / 'maps', folder / 'maps2')
    os.rename(folder / 'masks', folder / 'masks2')
    write_set(folder, 12)
    os.mkdir(folder / 'set')
    os.rename(folder / 'masks2', folder / 'set' / 'masks')
    os.mkdir(folder / 'set' / 'images')
    for path in (folder / 'maps').iterdir():
        (folder / 'set' / 'images' / path.name).write_bytes(path.read_bytes())
    words = ('fit', folder / 'maps', folder / 'masks', '--out', folder / 'cal.json')
    assert command(*words) == 0
    words = ('eval-maps', folder / 'maps', folder / 'masks')
    assert command(*words, '--json', folder / 'a.json') == 0
    return folder


@pytest.fixture
def links(made, tmp_path, monkeypatch):
    """A folder of links to the inputs; lists are written into ``set``."""
    for path in made.iterdir():
        if path.name != 'set':
            (tmp_path / path.name).symlink_to(path)
    os.mkdir(tmp_path / 'set')
    for kind in ('images', 'masks'):
        (tmp_path / 'set' / kind).symlink_to(made / 'set' / kind)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize('name', WRITES)
@pytest.mark.usefixtures('plain_charts')
def test_a_file_is_replaced_with_overwrite_only(links, capsys, name):
    """A file of the user in the last place stops the command before the first."""
    words, written = (text.split() for text in WRITES[name])
    for place in reversed(written):
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        Path(place).write_text('mine')
        before = contents(links)
        assert command(name, *words) == 2
        assert place in capsys.readouterr().err
        assert contents(links) == before

        os.unlink(place)
    for place in written:
        Path(place).write_text('mine')
    assert command(name, *words, '--overwrite') in (0, 1)
    assert all(Path(place).read_bytes() != b'mine' for place in written)
    assert not list(links.rglob('.mmaslp*'))


@pytest.mark.parametrize(
    ('words', 'file'),
    [
        ('eval-maps maps masks --json maps/000.png', 'maps/000.png'),
        ('eval-maps maps masks --json link.png', 'maps/000.png'),
        ('fit maps masks --out masks/x.json', 'masks/000.png'),
        ('apply cal.json maps --out maps', 'maps/000.png'),
        ('apply cal.json maps --out maps/sub', 'maps/000.png'),
        ('review maps --calibrator cal.json --out cal.json', 'cal.json'),
        ('review maps --calibrator cal.json --out r.csv --objects ./r.csv', 'cal.json'),
        ('compare a.json a.json --json a.json', 'a.json'),
        ('report a.json -o a.html', 'a.json'),
        ('prepare set --val-list set/val.txt', 'set/val.txt'),
    ],
)
def test_an_input_is_never_replaced(links, capsys, words, file):
    Path('set/val.txt').write_text('000\n')
    os.symlink('maps/000.png', 'link.png')
    os.symlink('a.json', 'a.report.json')
    before = contents(links)
    assert command(*words.split(), '--overwrite') == 2
    assert 'error:' in capsys.readouterr().err
    assert contents(links) == before
    assert Path(file).is_file()


IDENTITY = Calibrator('identity', 'single', 'confidence', [([0, 1], [0, 1])])


def test_a_calibrator_behind_a_link_is_no_output(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path, 1)
    IDENTITY.save('c.json')
    Path('out').mkdir()
    Path('out/000.png').symlink_to(Path('c.json').resolve())
    assert main(['apply', 'c.json', 'maps', '--out', 'out', '--overwrite']) == 2
    assert 'is an input' in capsys.readouterr().err
    assert Calibrator.load('c.json') == IDENTITY
