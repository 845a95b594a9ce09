import errno
import os
import stat
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmaslp.common import outputs
from mmaslp.common.outputs import (
    check_outputs,
    move_output,
    resolved_folder,
    write_output,
)

# What is at the place of an output, made from a file of the user beside it.
PLACES = {
    'nothing': lambda place, mine: None,
    'empty': lambda place, mine: place.touch(),
    'file': lambda place, mine: place.write_text('there'),
    'link': lambda place, mine: place.symlink_to(mine),
    'hard link': lambda place, mine: os.link(mine, place),
    'dangling': lambda place, mine: place.symlink_to(mine.with_name('gone')),
    'loop': lambda place, mine: place.symlink_to(place),
    'folder': lambda place, mine: place.mkdir(),
}


def contents(folder):
    """Bytes of all files, and where links lead."""
    found = {}
    for path in sorted(Path(folder).rglob('*')):
        held = os.readlink(path) if path.is_symlink() else None
        found[path.name] = held or (path.is_file() and path.read_bytes())
    return found


def spelled(path, how):
    """Write the path of a file in another way."""
    ways = {
        'as it is': path,
        'dotted': path.parent / '..' / path.parent.name / path.name,
        'relative': os.path.relpath(path),
    }
    return ways[how]


@given(
    there=st.sampled_from(list(PLACES)),
    role=st.sampled_from(['none', 'mine', 'place', 'folder']),
    how=st.sampled_from(['as it is', 'dotted', 'relative']),
    overwrite=st.booleans(),
)
def test_a_file_is_lost_only_on_purpose_and_an_input_never(there, role, how, overwrite):
    with TemporaryDirectory() as name:
        folder = Path(name).resolve()
        mine = folder / 'mine'
        place = folder / 'place'
        mine.write_text('mine')
        PLACES[there](place, mine)
        before = contents(folder)
        inputs = {'none': [], 'mine': [mine], 'place': [place], 'folder': [folder]}
        try:
            check_outputs({'--out': spelled(place, how)}, inputs[role], overwrite)
            write_output(place, 'new', overwrite)
        except (ValueError, FileExistsError) as error:
            assert str(place.name) in str(error)
            assert contents(folder) == before
            return

        assert there in ('nothing', 'empty') or overwrite
        assert role == 'none' or (role == 'mine' and not there.endswith('link'))
        assert place.read_text() == 'new'
        assert there == 'link' or mine.read_text() == 'mine'
        assert not list(folder.glob('.mmaslp*'))


@given(
    st.lists(st.sampled_from(['a', './a', 'b/../a', 'b/a', 'link/a']), min_size=2),
    st.booleans(),
)
def test_two_outputs_are_two_files(names, overwrite):
    with TemporaryDirectory() as name:
        Path(name, 'b').mkdir()
        Path(name, 'link').symlink_to('b')
        paths = [os.path.join(name, each) for each in names]
        different = {os.path.realpath(path) for path in paths}
        outputs = {f'--{number}': path for number, path in enumerate(paths)}
        if len(different) == len(paths):
            check_outputs(outputs, overwrite=overwrite)
            return
        with pytest.raises(ValueError, match='are the same file'):
            check_outputs(outputs, overwrite=overwrite)


def test_all_files_are_checked_before_the_first_is_written(tmp_path):
    last = tmp_path / '9.png'
    last.write_text('mine')
    files = [tmp_path / f'{number}.png' for number in range(10)]
    with pytest.raises(FileExistsError, match=r'^--out .*9\.png .*`overwrite=True`'):
        check_outputs({'--out': files, '--json': None})


@pytest.mark.parametrize('place', ['file/x', 'file/deep/x', 'maps/x', 'maps/deep/x'])
def test_a_folder_that_is_none_or_is_read(tmp_path, place):
    (tmp_path / 'file').write_text('mine')
    (tmp_path / 'maps').mkdir()
    with pytest.raises(ValueError, match=r'--out .*x'):
        check_outputs({'--out': tmp_path / place}, [tmp_path / 'maps'], True)


def test_mode_and_link_of_a_replaced_file_stay(tmp_path):
    path, link = tmp_path / 'x', tmp_path / 'link'
    path.write_text('old')
    path.chmod(0o640)
    link.symlink_to('x')
    write_output(link, 'new', overwrite=True)
    assert link.is_symlink()
    assert path.read_text() == 'new'
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize('mask', [0o022, 0o077])
def test_a_new_file_has_the_usual_mode(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_output(tmp_path / 'new' / 'x', b'')
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / 'new' / 'x').stat().st_mode) == 0o666 & ~mask


def test_an_open_file_stays_whole(tmp_path):
    """Whoever has the old file open, here under a second name, goes on reading it."""
    path = tmp_path / 'x'
    write_output(path, 'one')
    os.link(path, tmp_path / 'open')
    write_output(path, 'two', overwrite=True)
    assert (tmp_path / 'open').read_text() == 'one'


def test_a_failed_write_leaves_nothing(tmp_path):
    path = tmp_path / 'x.txt'
    write_output(path, 'old')
    with pytest.raises(UnicodeEncodeError):
        write_output(path, 'new \udc80', overwrite=True)
    assert contents(tmp_path) == {'x.txt': b'old'}


def test_a_pipe_is_written_to():
    read, write = os.pipe()
    check_outputs({'--out': f'/dev/fd/{write}'})
    write_output(f'/dev/fd/{write}', 'piped')
    os.close(write)
    with open(read, encoding='utf-8') as file:
        assert file.read() == 'piped'


def test_a_folder_is_not_a_file_and_a_home_of_nobody_is_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match='is a folder'):
        check_outputs({'--json': 'x/'})
    with pytest.raises(ValueError, match='is a folder'):
        write_output(tmp_path, 'a')
    with pytest.raises(ValueError, match='path must be a path, which has no NUL'):
        write_output('a\0b', 'a')
    with pytest.raises(ValueError, match='--json must be a path, which has no NUL'):
        check_outputs({'--json': 'a\0b'})
    check_outputs({'--json': '~nosuchuser/x'}, ['~nosuchuser/y'])
    write_output('~nosuchuser/x', 'a')
    assert (tmp_path / '~nosuchuser' / 'x').read_text() == 'a'


def test_the_mask_of_the_process_is_not_touched(tmp_path, monkeypatch):
    """Another thread would write files that everybody may change."""
    monkeypatch.setattr(os, 'umask', None)
    write_output(tmp_path / 'x', 'new')
    assert (tmp_path / 'x').read_text() == 'new'


def test_an_interrupt_leaves_no_part(tmp_path, monkeypatch):
    """Also one that comes as soon as the part is there."""
    opened = os.open

    def interrupted(*args, **options):
        os.close(opened(*args, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'open', interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_output(tmp_path / 'x', 'new')
    assert not list(tmp_path.iterdir())


def test_a_private_file_stays_private_while_it_is_replaced(tmp_path, monkeypatch):
    path = tmp_path / 'x'
    write_output(path, 'old')
    path.chmod(0o600)
    modes = []
    opened = os.open

    def watched(name, flags, mode=0o777):
        number = opened(name, flags, mode)
        modes.append(stat.S_IMODE(os.fstat(number).st_mode))
        return number

    monkeypatch.setattr(os, 'open', watched)
    write_output(path, 'new', overwrite=True)
    assert modes == [0o600]


def test_a_work_directory_below_images_lies_in_what_is_read(tmp_path):
    images = tmp_path / 'val' / 'images'
    images.mkdir(parents=True)
    with pytest.raises(ValueError, match='which is read'):
        check_outputs({'--work-dir': images / 'new' / '_'}, [images])
    with pytest.raises(ValueError, match='which is read'):
        check_outputs({'--work-dir': images / '..' / 'images' / 'new' / '_'}, [images])


def test_a_folder_with_dots_is_resolved_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'real').mkdir()
    (tmp_path / 'link').symlink_to('real')
    assert resolved_folder('o/sub/..') == tmp_path / 'o'
    assert resolved_folder('.') == tmp_path
    assert resolved_folder('link') == tmp_path / 'link'
    assert resolved_folder('link/../x') == tmp_path / 'x'


@pytest.mark.parametrize('on_one_disk', [True, False])
def test_a_whole_file_is_moved_to_an_output(tmp_path, monkeypatch, on_one_disk):
    monkeypatch.setattr(outputs, '_on_one_disk', lambda *_: on_one_disk)
    there = tmp_path / 'there'
    there.write_text('old')
    there.chmod(0o640)
    for target in (tmp_path / 'new' / 'x', there):
        part = tmp_path / 'part'
        part.write_text('whole')
        move_output(part, target, overwrite=True)
        assert target.read_text() == 'whole'
        assert not part.exists()
    assert there.stat().st_mode & 0o777 == 0o640

    part.write_text('again')
    with pytest.raises(FileExistsError, match='exists already'):
        move_output(part, there)
    assert (there.read_text(), part.read_text()) == ('whole', 'again')


def test_a_move_that_fails_names_the_output_and_leaves_no_folder(tmp_path, monkeypatch):
    def refuse(part, target, overwrite):
        raise OSError(errno.EDQUOT, 'Disk quota exceeded')

    monkeypatch.setattr(outputs, '_put', refuse)
    (tmp_path / 'part').write_text('whole')
    with pytest.raises(OSError, match=r'cannot be written .*new/x'):
        move_output(tmp_path / 'part', tmp_path / 'new' / 'x')
    assert [path.name for path in tmp_path.iterdir()] == ['part']


def no_hard_links(part, target):
    raise OSError(errno.EPERM, 'Operation not permitted')


@pytest.mark.parametrize('link', [os.link, no_hard_links])
def test_of_two_writers_of_one_new_file_the_later_is_refused(
    tmp_path, monkeypatch, link
):
    place = tmp_path / 'place'

    def name_of_part(size):
        place.write_text('of the first')
        return 'part'

    monkeypatch.setattr(os, 'link', link)
    write_output(tmp_path / 'new', 'alone')
    assert (tmp_path / 'new').read_text() == 'alone'

    monkeypatch.setattr(outputs.secrets, 'token_hex', name_of_part)
    message = 'place exists already: replace it with `overwrite=True`'
    with pytest.raises(FileExistsError, match=message):
        write_output(place, 'of the second')
    assert place.read_text() == 'of the first'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['new', 'place']
