import pytest

from mmaslp.files.datasets import Pairs, keep_listed, list_pairs, list_stems

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
    images = list_stems(str(root / 'images'))
    assert [*keep_listed(images, str(root / 'list.txt'), 'x')] == ['a.1', 'c']


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('a.1\nx\ny\n', '2 of 3 listed images are not in images: x, y'),
        ('\n \n', '0 of 0 listed images are not in images: the list is empty'),
        ('\udcff\udcfea\0', 'is not a list in UTF-8'),
        ('b\na.1\nb.jpg\n', 'listed twice: b. Remove one line'),
    ],
)
def test_bad_list_files(root, content, message):
    (root / 'list.txt').write_bytes(content.encode(errors='surrogateescape'))
    with pytest.raises(ValueError, match=message):
        keep_listed({'a.1': 'a', 'b': 'b'}, str(root / 'list.txt'), 'images')


def test_names_that_differ_by_their_suffix_only(root, write_image):
    write_image(root / 'images' / 'b.png')
    with pytest.raises(ValueError, match=r'b\.jpg and b\.png'):
        list_stems(str(root / 'images'))
    pairs = list_pairs((str(root / 'images'), str(root / 'masks')), '.JPG')
    assert list(pairs.images) == ['a.1', 'b', 'c']


def test_hidden_folders_are_left_out(root, write_image):
    for name in ('.ipynb_checkpoints/a.1-checkpoint.jpg', 'd.e/.f.jpg', 'd.e/g.jpg'):
        write_image(root / 'images' / name)
    assert [*list_stems(str(root / 'images'))] == ['a.1', 'b', 'c', 'd.e/g']


def test_partners():
    folders = ('x', 'y')
    whole = Pairs(folders, {'a': 'a.jpg'}, {'a': 'a.png'})
    assert not whole.unpaired()
    assert whole.paths() == {'a': ('x/a.jpg', 'y/a.png')}
    torn = Pairs(folders, dict.fromkeys('ab', '1'), dict.fromkeys('ac', '2'))
    assert [*torn.paths()] == ['a']
    assert torn.unpaired() == [
        'b: has no mask in y',
        'mask c: has no partner in x',
    ]
