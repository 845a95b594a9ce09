import os

import pytest

from mmaslp.files.outputs import check_folder, check_kind, check_outputs


def test_a_loop_of_links_is_nobody_else(tmp_path):
    os.symlink('b', tmp_path / 'a')
    os.symlink('a', tmp_path / 'b')
    check_outputs({'--json': (tmp_path / 'a', 'result')}, [tmp_path / 'c'])


def test_folders(tmp_path):
    (tmp_path / 'file').write_text('x')
    check_folder(None, [tmp_path], '--out')
    check_folder(tmp_path / 'new', [tmp_path], '--out')
    with pytest.raises(ValueError, match='is a file'):
        check_folder(tmp_path / 'file', [], '--out')
    with pytest.raises(ValueError, match='is the folder of the inputs'):
        check_folder(f'{tmp_path}/x/..', [tmp_path], '--out')


def test_the_message_names_option_and_file(tmp_path):
    (tmp_path / 'x').write_text('mine')
    with pytest.raises(
        ValueError, match=r'^--out .*x: .* not a report of this version'
    ):
        check_kind(tmp_path / 'x', 'report', '--out')
    with pytest.raises(ValueError, match=r'^/'):
        check_kind(tmp_path / 'x', 'report')
