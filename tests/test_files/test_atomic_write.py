import os

import pytest

from mmaslp.files.atomic_write import atomic_write


def test_an_open_file_stays_whole(tmp_path):
    """Whoever has the old file open, here under a second name, goes on reading it."""
    path = tmp_path / 'new' / 't.json'
    atomic_write(path, 'one')
    before = path.read_text()
    os.link(path, tmp_path / 'open')
    atomic_write(path, 'two')
    assert (tmp_path / 'open').read_text() == before != path.read_text()
    assert [p.name for p in path.parent.iterdir()] == ['t.json']


def test_a_failed_write_leaves_nothing(tmp_path):
    path = tmp_path / 'x.txt'
    atomic_write(str(path), 'old')
    with pytest.raises(UnicodeEncodeError):
        atomic_write(str(path), 'new \udc80')
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_links_and_pipes_stay(tmp_path):
    path, link = tmp_path / 'x.txt', tmp_path / 'link'
    path.write_text('old')
    link.symlink_to(path)
    atomic_write(str(link), 'new')
    assert link.is_symlink() and path.read_text() == 'new'
    read, write = os.pipe()
    atomic_write(f'/dev/fd/{write}', 'piped')
    os.close(write)
    with open(read, encoding='utf-8') as file:
        assert file.read() == 'piped'
