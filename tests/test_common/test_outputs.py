import os

import pytest

from mmaslp.common.outputs import (
    MARKS,
    check_folder,
    check_output,
    check_outputs,
    write_output,
)


def test_a_loop_of_links_is_refused_as_a_link(tmp_path):
    os.symlink('b', tmp_path / 'a')
    os.symlink('a', tmp_path / 'b')
    with pytest.raises(ValueError, match='is a link: name a file'):
        check_outputs({'--json': (tmp_path / 'a', 'result')}, [tmp_path / 'c'])


def test_folders(tmp_path):
    (tmp_path / 'file').write_text('x')
    check_folder(None, [tmp_path], '--out')
    check_folder(tmp_path / 'new', [tmp_path / 'other'], '--out')
    with pytest.raises(ValueError, match='is a file'):
        check_folder(tmp_path / 'file', [], '--out')
    with pytest.raises(ValueError, match='is the folder of the inputs'):
        check_folder(f'{tmp_path}/x/..', [tmp_path], '--out')
    with pytest.raises(ValueError, match=r'lies in .*, which is read'):
        check_folder(tmp_path / 'a' / 'b', [tmp_path], '--out')


def test_the_message_names_option_and_file(tmp_path):
    (tmp_path / 'x').write_text('mine')
    with pytest.raises(
        ValueError, match=r'^--out .*x: .* not a report of this version'
    ):
        check_output(tmp_path / 'x', 'report', '--out')
    with pytest.raises(ValueError, match=r'^/'):
        check_output(tmp_path / 'x', 'report')


def test_a_mark_at_either_end_of_a_large_file_is_found(tmp_path):
    path, filling = tmp_path / 'x', b'x' * 10**6
    for content in (MARKS['diagram'] + filling, filling + MARKS['diagram']):
        path.write_bytes(content)
        check_output(path, 'diagram')


def test_an_open_file_stays_whole(tmp_path):
    """Whoever has the old file open, here under a second name, goes on reading it."""
    path = tmp_path / 'new' / 't.json'
    write_output(path, '"mmaslp result one"', 'result')
    before = path.read_text()
    os.link(path, tmp_path / 'open')
    write_output(path, '"mmaslp result two"', 'result')
    assert (tmp_path / 'open').read_text() == before != path.read_text()
    assert [p.name for p in path.parent.iterdir()] == ['t.json']


def test_a_failed_write_leaves_nothing(tmp_path):
    path = tmp_path / 'x.txt'
    write_output(path, 'old', None)
    with pytest.raises(UnicodeEncodeError):
        write_output(path, 'new \udc80', None)
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_without_a_mark_is_not_replaced(tmp_path):
    path = tmp_path / 'a.npz'
    write_output(path, b'maps', None)
    write_output(path, b'maps', None)
    with pytest.raises(ValueError, match='is there already and would be lost'):
        write_output(path, b'others', None)
    assert path.read_bytes() == b'maps'


@pytest.mark.parametrize('kind', [*MARKS, None])
def test_a_link_is_neither_followed_nor_replaced(tmp_path, kind):
    path, link = tmp_path / 'x.txt', tmp_path / 'link'
    content = b'x' if kind is None else MARKS[kind]
    path.write_bytes(content)
    link.symlink_to(path)
    with pytest.raises(ValueError, match='is a link: name a file'):
        write_output(link, content, kind)
    assert link.is_symlink()
    assert path.read_bytes() == content


def test_a_pipe_is_written_to():
    read, write = os.pipe()
    write_output(f'/dev/fd/{write}', 'piped', 'result')
    os.close(write)
    with open(read, encoding='utf-8') as file:
        assert file.read() == 'piped'
