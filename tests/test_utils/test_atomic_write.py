import os

import pytest

from mmaslp.utils.atomic_write import write_whole
from mmaslp.utils.temperature_file import write_temperature


def test_an_open_file_stays_whole(tmp_path):
    """Whoever has the old file open, here under a second name, goes on reading it."""
    path = tmp_path / 'new' / 't.json'
    write_temperature(str(path), dict(temperature=1.5))
    before = path.read_text()
    os.link(path, tmp_path / 'open')
    write_temperature(str(path), dict(temperature=2.5))
    assert (tmp_path / 'open').read_text() == before != path.read_text()
    assert [p.name for p in path.parent.iterdir()] == ['t.json']


def test_a_failed_write_leaves_nothing(tmp_path):
    path = tmp_path / 'x.txt'
    write_whole(str(path), 'old')
    with pytest.raises(UnicodeEncodeError):
        write_whole(str(path), 'new \udc80')
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_links_and_pipes_stay(tmp_path):
    path, link = tmp_path / 'x.txt', tmp_path / 'link'
    path.write_text('old')
    link.symlink_to(path)
    write_whole(str(link), 'new')
    assert link.is_symlink() and path.read_text() == 'new'
    read, write = os.pipe()
    write_whole(f'/dev/fd/{write}', 'piped')
    os.close(write)
    with open(read, encoding='utf-8') as file:
        assert file.read() == 'piped'
