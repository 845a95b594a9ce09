"""docs/api/commands.md says what the parsers say, docs/commands.md what holds."""

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

from mmaslp.commands.errors import DONE, FAILED, REFUSED
from tests.evil import command, fill_the_disk, in_child
from tests.map_folders import write_set

DOCS = Path(__file__).resolve().parents[2] / 'docs'
PAGE = (DOCS / 'commands.md').read_text(encoding='utf-8')
MEASURE = ('eval-maps', 'maps', 'masks', '--json', 'out.json')


def test_the_page_holds_the_arguments_of_today(monkeypatch):
    monkeypatch.setattr(sys, 'path', [str(DOCS), *sys.path])
    made = import_module('write_commands').page()
    assert made == (DOCS / 'api' / 'commands.md').read_text(encoding='utf-8')


def test_exit_codes():
    codes = re.findall(r'^\| (\d)', PAGE, re.M)
    assert list(map(int, codes[:3])) == [DONE, FAILED, REFUSED]


def contents():
    return {path: path.read_bytes() for path in Path().rglob('*') if path.is_file()}


def only_with_overwrite():
    assert command(*MEASURE) == DONE
    Path('out.json').write_text('mine')
    assert command(*MEASURE) == REFUSED
    assert Path('out.json').read_text() == 'mine'
    assert command(*MEASURE, '--overwrite') == DONE
    assert Path('out.json').read_text() != 'mine'


def never_an_input():
    assert command('fit', 'maps', 'masks', '--out', 'fit.json') == DONE
    before = contents()
    for words in (
        ('apply', 'fit.json', 'maps', '--out', 'maps'),
        ('drift', 'maps', '--calibrator', 'fit.json', '--json', 'fit.json'),
        ('eval-maps', 'maps', 'masks', '--json', 'masks/out.json'),
    ):
        assert command(*words, '--overwrite') == REFUSED
    assert contents() == before


def whole_or_not_at_all():
    def on_a_full_disk():
        fill_the_disk()
        return command(*MEASURE, '--overwrite')

    Path('out.json').write_text('mine')
    before = contents()
    assert in_child(on_a_full_disk) == REFUSED
    assert contents() == before


def one_training_per_folder():
    pytest.importorskip('mmseg')
    Path('run').mkdir()
    Path('run/epoch_1.pth').write_bytes(b'earlier')
    before = contents()
    assert command('train', 'mmaslp::demo/bce.py', '--work-dir', 'run') == REFUSED
    assert contents() == before


CHECKS = {
    'An existing file is replaced only with `--overwrite`': only_with_overwrite,
    'An input is never replaced': never_an_input,
    'A file is written whole or not at all.': whole_or_not_at_all,
    'One training per folder.': one_training_per_folder,
}


@pytest.mark.parametrize(
    'promise', re.findall(r'^- \*\*(.+?)\*\*', PAGE.partition('## Resume')[0], re.M)
)
def test_a_promise_about_files(promise, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_set(tmp_path, 12)
    CHECKS[promise]()


def test_every_promise_is_on_the_page():
    assert all(f'- **{promise}**' in PAGE for promise in CHECKS)
