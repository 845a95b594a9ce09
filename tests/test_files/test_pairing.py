import pytest

from mmaslp.files.pairing import (
    check_partners,
    list_stems,
    read_list,
    select,
)

NAMES = ['c', 'a.1', 'b']


@pytest.fixture
def root(tmp_path, write_pairs):
    write_pairs(tmp_path, NAMES)
    return tmp_path


@pytest.mark.parametrize(
    'content', ['c\na.1\n', 'c.jpg\r\n\r\na.1.jpg\r\n', '\ufeffc\n  a.1  \n\n']
)
def test_list_files(root, content):
    (root / 'list.txt').write_bytes(content.encode())
    assert read_list(str(root / 'list.txt')) == ['c', 'a.1']


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('a.1\nx\ny\n', '2 of 3 listed images are not in .*images: x, y'),
        ('a.1\nb\na.1\n', 'listed twice: a.1'),
        ('\n \n', 'list.txt: the list is empty'),
        (b'\xff\xfe\x00', 'list.txt: not a text file'),
    ],
)
def test_bad_list_files(root, content, message):
    data = content if isinstance(content, bytes) else content.encode()
    (root / 'list.txt').write_bytes(data)
    with pytest.raises(ValueError, match=message):
        stems = read_list(str(root / 'list.txt'))
        select(
            list_stems(str(root / 'images')), stems, 'list.txt', str(root / 'images')
        )


def test_names_that_differ_by_their_suffix_only(root, write_image):
    write_image(root / 'images' / 'b.png')
    with pytest.raises(ValueError, match=r'b\.jpg and b\.png'):
        list_stems(str(root / 'images'))
    assert list(list_stems(str(root / 'images'), '.JPG')) == ['a.1', 'b', 'c']


def test_partners():
    check_partners('ab', 'ab', 'x', 'y')
    check_partners('a', 'ab', 'x', 'y', strict=False)
    with pytest.raises(ValueError, match=r'1 of 2 images in x .* in y: b; 1 of 2 mask'):
        check_partners('ab', 'ac', 'x', 'y')
