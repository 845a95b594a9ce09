import os

import pytest

from mmaslp.files.names import display_name, printable, short_names, without_folders


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
    assert display_name(name) == expected


def test_printable_keeps_line_breaks():
    assert printable('a\nb\r') == 'a\nb\\r'


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('/home/me/run/epoch_1.pth', 'epoch_1.pth'),
        ('/home/me/my maps/x y.png', 'x y.png'),
        ('~/maps/', 'maps'),
        ('C:\\data\\duts', 'duts'),
        ("{'data_root': '/data/duts', 'lr': 0.1}", "{'data_root': 'duts', 'lr': 0.1}"),
        ('data_root=/data/duts', 'data_root=duts'),
        ('maps/ISNet', 'maps/ISNet'),
        ('https://host/x.pth', 'https://host/x.pth'),
        ('1/64 of the side', '1/64 of the side'),
        ('mmaslp::demo/bce.py', 'mmaslp::demo/bce.py'),
        ('/', '/'),
    ],
)
def test_absolute_paths_keep_their_last_part(text, expected):
    assert without_folders(text) == expected


def test_names_lose_what_they_share():
    assert short_names(['/a/b/1.jpg', '/a/c/2.jpg']) == ['1.jpg', '2.jpg']
    assert short_names(['/a/b/1.jpg', '/a/c/1.jpg']) == ['b/1.jpg', 'c/1.jpg']
    assert short_names(['a', 'a']) == ['a', 'a']
    assert short_names([]) == []
