import pytest
from PIL import Image

from mmaslp.files.checking import check_pair, check_pairs, image_size


def test_size_is_turned_by_the_camera(tmp_path):
    exif = Image.Exif()
    Image.new('RGB', (9, 5)).save(tmp_path / 'a.jpg')
    exif[274] = 6  # a quarter turn
    Image.new('RGB', (9, 5)).save(tmp_path / 'b.jpg', exif=exif)
    assert image_size(str(tmp_path / 'a.jpg')) == (9, 5)
    assert image_size(str(tmp_path / 'b.jpg')) == (5, 9)


def test_broken_images(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'')
    with pytest.raises(ValueError, match=r'a\.jpg: not a readable image'):
        image_size(str(tmp_path / 'a.jpg'))


def test_pairs(tmp_path, write_pairs, write_mask):
    write_pairs(tmp_path, ['a', 'b', 'c'])
    write_mask(tmp_path / 'masks' / 'b.png', size=(20, 10))
    (tmp_path / 'masks' / 'c.png').unlink()
    pairs = {
        name: (
            str(tmp_path / f'images/{name}.jpg'),
            str(tmp_path / f'masks/{name}.png'),
        )
        for name in 'abc'
    }
    assert check_pair(*pairs['a']) is None
    bad = check_pairs(pairs)
    assert sorted(bad) == ['b', 'c']
    assert 'the mask is 20 x 10 pixels' in bad['b'] and '20 x 14' in bad['b']
    assert 'No such file' in bad['c']


def test_votes_pass_where_they_are_expected(tmp_path, write_pairs):
    write_pairs(tmp_path, ['a'], level=170)
    pair = (str(tmp_path / 'images/a.jpg'), str(tmp_path / 'masks/a.png'))
    assert 'not a binary mask' in check_pair(*pair)
    assert check_pair(*pair, graded=True) is None


def test_progress(tmp_path, write_pairs):
    write_pairs(tmp_path, ['a'])
    pair = (str(tmp_path / 'images/a.jpg'), str(tmp_path / 'masks/a.png'))
    seen = []
    check_pairs(dict.fromkeys(range(2001), pair), progress=lambda *at: seen.append(at))
    assert seen == [(1000, 2001), (2000, 2001)]
