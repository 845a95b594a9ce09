import os

import pytest

from mmaslp.files.names import missing, nearest, printable, shown


def test_nearest():
    assert nearest('trian', ['test', 'train']) == '; did you mean train?'
    assert nearest('xyz', ['test', 'train']) == ''


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('a b$ü<x>{}.png', 'a b$ü<x>{}.png'),
        ('हिन्दी', 'हिन्दी'),  # marks without which the name could not be written
        ('a\nb\t\x1b', r'a\nb\t\x1b'),
        ('a\u200bb', r'a\u200bb'),
        (os.fsdecode(b'a\xff'), r'a\udcff'),
        ('\ud800', r'\ud800'),
    ],
)
def test_shown(name, expected):
    assert shown(name) == expected


def test_printable_keeps_line_breaks():
    assert printable('a\nb\r') == 'a\nb\\r'


def test_missing(tmp_path):
    path = tmp_path / 'a'
    assert missing(str(path)) == str(path)
    path.symlink_to('a')
    assert missing(str(path)) == f'{path}, a link that leads nowhere'
