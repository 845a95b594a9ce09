import io
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageDraw

from mmaslp.files.images import read_binary_mask

SIZE = (60, 40)  # width, height


def disc(size=SIZE):
    """A drawn disc as bool (H, W)."""
    image = Image.new('1', size)
    ImageDraw.Draw(image).ellipse((12, 6, 45, 33), fill=1)
    return np.asarray(image)


def save(path, array, mode=None, palette=None, **kwargs):
    image = Image.fromarray(array)
    if mode == 'P':
        image = Image.fromarray(array).convert('L')
        image.putpalette(palette)
    elif mode:
        image = image.convert(mode)
    image.save(path, **kwargs)
    return path


def assert_reads(path, expected):
    mask = read_binary_mask(path)
    assert mask.dtype == np.uint8
    assert mask.flags.writeable
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    'palette',
    [
        [0, 0, 0, 128, 0, 0],  # VOC
        [0, 0, 0, 255, 255, 255],
        [0, 0, 0, 1, 1, 1],
        [128, 64, 128, 244, 35, 232],
    ],
)
def test_palette(tmp_path, palette):
    path = save(tmp_path / 'm.png', disc().astype(np.uint8), 'P', palette)
    assert Image.open(path).mode == 'P'
    assert_reads(path, disc())


def anti_aliased():
    """The disc at 4 times the size, reduced with a box filter."""
    big = Image.new('L', (SIZE[0] * 4, SIZE[1] * 4))
    ImageDraw.Draw(big).ellipse((48, 24, 180, 132), fill=255)
    return np.asarray(big.resize(SIZE, Image.Resampling.BOX))


def test_grey_edges_are_cut_at_half(tmp_path):
    array = anti_aliased()
    assert len(np.unique(array)) > 4
    assert_reads(save(tmp_path / 'm.png', array), array > 127)


@pytest.mark.parametrize(('quality', 'mode'), [(30, 'L'), (75, 'RGB'), (95, 'L')])
def test_jpeg(tmp_path, quality, mode):
    array = disc((60, 40)).astype(np.uint8) * 255
    path = save(tmp_path / 'm.jpg', array, mode, quality=quality)
    assert len(np.unique(np.asarray(Image.open(path)))) > 4
    mask = read_binary_mask(path)
    assert np.count_nonzero(mask != disc()) <= 2


@pytest.mark.parametrize(('suffix', 'level'), [('png', 38), ('jpg', 128), ('png', 200)])
def test_third_level_is_refused(tmp_path, suffix, level):
    array = disc().astype(np.uint8) * 255
    array[10:25, 15:25] = level
    path = save(tmp_path / f'trimap.{suffix}', array)
    with pytest.raises(ValueError, match=rf'trimap.{suffix}: not a binary .*{level}'):
        read_binary_mask(path)


@pytest.mark.parametrize(
    ('level', 'thin'), [(2, False), (38, True), (75, False), (128, True)]
)
def test_other_pairs_of_levels_are_refused(tmp_path, level, thin):
    array = disc().astype(np.uint8) * level
    if thin:
        array[:] = 0
        array[20] = level
    with pytest.raises(ValueError, match=rf'm\.png: not a binary mask.* {level}\b'):
        read_binary_mask(save(tmp_path / 'm.png', array))


def test_colours_are_refused(tmp_path):
    array = np.zeros((9, 9, 3), np.uint8)
    array[3:6, 3:6] = (128, 0, 0)
    with pytest.raises(ValueError, match=r'm\.png: the mask has colours'):
        read_binary_mask(save(tmp_path / 'm.png', array))
    indexed = np.zeros((9, 9), np.uint8)
    indexed[3:6] = 15
    palette = [i * 67 % 256 for i in range(768)]
    with pytest.raises(ValueError, match=r'p\.png: the mask has colours'):
        read_binary_mask(save(tmp_path / 'p.png', indexed, 'P', palette))


def test_a_file_of_another_format_is_named(tmp_path):
    np.save(tmp_path / 'a.npy', np.zeros((4, 4)))
    with pytest.raises(ValueError, match=r'a\.npy: cannot') as error:
        read_binary_mask(tmp_path / 'a.npy')
    assert 'BytesIO' not in str(error.value)


def test_votes_need_graded(tmp_path):
    array = np.repeat(np.array([[0, 85, 128, 170, 255]], np.uint8), 12, 1)
    path = save(tmp_path / 'm.png', np.repeat(array, 12, 0))
    with pytest.raises(ValueError, match='graded=True'):
        read_binary_mask(path)
    mask = read_binary_mask(path, graded=True)
    np.testing.assert_array_equal(mask, np.asarray(Image.open(path)) > 127)


def test_broken_files(tmp_path):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 2, (99, 99)).astype(np.uint8)
    Image.fromarray(noise * 255).save(buffer, 'PNG')
    contents = {
        'empty': b'',
        'text': b'no image',
        'cut': buffer.getvalue()[: len(buffer.getvalue()) // 2],
    }
    for name, content in contents.items():
        path = tmp_path / f'{name}.png'
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf'{name}\.png'):
            read_binary_mask(path)
    with pytest.raises(FileNotFoundError, match='missing'):
        read_binary_mask(tmp_path / 'missing.png')


@settings(max_examples=60, deadline=None)
@given(
    mask=hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24)),
    encoding=st.sampled_from(['L', '0/1', '16-bit', '1', 'RGB', 'RGBA', 'LA', 'VOC']),
)
def test_any_mask_in_any_encoding(mask, encoding):
    grey = Image.fromarray(mask.astype(np.uint8) * 255)
    if encoding == '0/1':
        image = Image.fromarray(mask.astype(np.uint8))
    elif encoding == '16-bit':
        image = Image.fromarray(mask.astype(np.uint16) * 65535)
    elif encoding == 'VOC':
        image = Image.fromarray(mask.astype(np.uint8))
        image.putpalette([0, 0, 0, 128, 0, 0])
    else:
        image = grey.convert(encoding)
    with TemporaryDirectory() as folder:
        image.save(f'{folder}/m.png')
        read = read_binary_mask(f'{folder}/m.png')
    np.testing.assert_array_equal(read, mask)


@settings(max_examples=60, deadline=None)
@given(
    level=st.integers(2, 223),
    side=st.integers(4, 12),
    high=st.sampled_from([0, 1, 255]),
)
def test_an_area_of_another_level_is_never_read(level, side, high):
    array = np.zeros((32, 32), np.uint8)
    array[:10] = high
    array[15 : 15 + side, 4 : 4 + side] = level
    with (
        TemporaryDirectory() as folder,
        pytest.raises(ValueError, match=r'm\.png: not a binary mask'),
    ):
        Image.fromarray(array).save(f'{folder}/m.png')
        read_binary_mask(f'{folder}/m.png')


def soft_map():
    """A network's map in 8 bits: sure of a disc, in doubt of a patch elsewhere."""
    image = anti_aliased().copy()
    image[2:18, 2:18] = np.random.default_rng(0).integers(40, 120, (16, 16))
    return image


@pytest.mark.parametrize('sixteen_bits', [False, True])
def test_a_map_of_probabilities_is_no_mask(tmp_path, sixteen_bits):
    """Read as a mask, a network's map would be its own truth."""
    values = soft_map()
    if sixteen_bits:
        noise = np.random.default_rng(1).integers(0, 500, values.shape)
        values = anti_aliased().astype(np.uint16) * 255 + noise.astype(np.uint16)
    path = save(tmp_path / 'm.png', values)
    with pytest.raises(ValueError, match='the folders are in the wrong order'):
        read_binary_mask(path)


@pytest.mark.parametrize('side', [0.25, 0.5, 4])
def test_a_mask_that_was_resized_is_read(tmp_path, side):
    """Its edges are up to four pixels wide, and lie along the object."""
    image = Image.fromarray((disc((240, 160)) * 255).astype(np.uint8))
    size = (round(image.width * side), round(image.height * side))
    small = image.resize(size, Image.Resampling.BILINEAR)
    path = tmp_path / 'm.png'
    small.save(path)
    assert_reads(path, np.asarray(small) > 127)
