import numpy as np
import pytest
from PIL import Image

from mmaslp.files.images import open_image, upright, write_picture


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_values_stay(tmp_path, dtype):
    values = np.arange(6, dtype=dtype).reshape(2, 3)
    write_picture(tmp_path / 'new' / 'x.png', values)
    assert np.array_equal(np.asarray(Image.open(tmp_path / 'new' / 'x.png')), values)


def test_a_picture_of_several_frames_is_refused_where_one_is_read(tmp_path):
    frames = [Image.new('L', (4, 4), grey) for grey in (0, 255)]
    frames[0].save(tmp_path / 'x.gif', save_all=True, append_images=frames[1:])
    assert open_image(tmp_path / 'x.gif').size == (4, 4)
    with pytest.raises(ValueError, match='has 2 frames, and one is read'):
        open_image(tmp_path / 'x.gif', frames=1)


@pytest.mark.parametrize('end', [616, 700, 1000])
def test_a_picture_whose_second_page_is_cut_is_refused(tmp_path, end):
    page = Image.new('L', (24, 20), 90)
    page.save(tmp_path / 'x.tif', save_all=True, append_images=[page])
    content = (tmp_path / 'x.tif').read_bytes()
    (tmp_path / 'x.tif').write_bytes(content[:end])
    with pytest.raises(ValueError, match=r'cannot be read as an image|has 2 frames'):
        open_image(tmp_path / 'x.tif', frames=1)


@pytest.mark.parametrize('scale', [np.uint16(257), np.uint16(16), np.float32(1 / 255)])
def test_photographs_of_more_than_8_bits_are_neither_white_nor_black(tmp_path, scale):
    greys = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(greys.astype(scale.dtype) * scale).save(tmp_path / 'x.tif')
    picture, fits = upright(tmp_path / 'x.tif', (16, 16))
    assert fits
    assert abs(np.asarray(picture.convert('L')) - greys.astype(float)).max() < 5
