"""Files that are odd, broken or hostile, and what is written in their place."""

import numpy as np
import pytest
import torch
from PIL import Image

from mmaslp import Calibrator, fit_calibrator
from mmaslp.files.images import read_binary_mask
from mmaslp.files.map_pairs import MapFiles, pair_files, read_binary_array
from mmaslp.files.nnunet_maps import find_dataset
from mmaslp.files.prob_maps import MapReader, quantised, write_prob_map
from mmaslp.workflows.apply import apply_calibrator
from mmaslp.workflows.review import ReviewOptions, review_maps

PROB = np.random.default_rng(0).random((8, 16, 16))
MASKED = np.ma.masked_array(PROB, PROB > 0.5)


@pytest.mark.parametrize(
    ('call', 'given'),
    [
        (lambda prob: write_prob_map('x.png', prob), MASKED[0]),
        (lambda prob: write_prob_map('x.png', prob), PROB[0] + 1j),
        (lambda logits: MapReader(logits=logits), 'no'),
        (lambda channel: MapReader(channel=channel), 1.5),
        (lambda key: MapReader(key=key), 3),
    ],
)
def test_arguments_that_answered_something_else(call, given):
    with pytest.raises(ValueError):
        call(given)


def test_a_mask_of_0_and_less(tmp_path):
    Image.fromarray(-np.eye(9, dtype=np.int32)).save(tmp_path / 'x.tif')
    with pytest.raises(ValueError, match=r'x\.tif'):
        read_binary_mask(tmp_path / 'x.tif')


@pytest.mark.parametrize(
    ('file', 'content'),
    [
        ('dataset.json', '{"labels": {"background": 0, "t": 1.7}}'),
        ('dataset.json', '{"labels": {"background": 0, "t": 1e400}}'),
        ('dataset.json', '{"labels": {"background": 0, "t": 1, "ignore": "x"}}'),
        ('dataset.json', '{"labels": {"background": 0, "t": 1, "ignore": 1}}'),
        ('dataset.json', '{"labels": {"t": 1, "u": 2}}'),
        ('dataset.json', '{"labels": {"0": "background", "1": "t"}}'),  # of version 1
        ('plans.json', '{"transpose_forward": [7, 0, 1]}'),
        ('plans.json', '{"transpose_forward": [-1, 0, 1]}'),
        ('plans.json', '{"transpose_forward": []}'),
        ('plans.json', '[]'),
    ],
)
def test_a_description_of_nnunet(tmp_path, file, content):
    (tmp_path / 'dataset.json').write_text('{"labels": {"background": 0, "t": 1}}')
    assert find_dataset(tmp_path).channels == {'background': (0,), 't': (1,)}
    (tmp_path / file).write_text(content)
    with pytest.raises(ValueError, match=file):
        find_dataset(tmp_path)


@pytest.mark.parametrize('bits', [8, 16])
def test_a_written_probability_keeps_its_side(tmp_path, bits):
    prob = np.array([[0.5, np.nextafter(0.5, 1), np.nextafter(0.5, 0), 0, 1]])
    write_prob_map(tmp_path / 'x.png', prob, bits)
    read = MapReader().read(tmp_path / 'x.png')
    assert ((read > 0.5) == (prob > 0.5)).all()
    assert np.abs(read - prob).max() <= 0.5 / (2**bits - 1) + 1e-7


def test_other_values_are_rounded_to_the_nearest():
    prob = np.random.default_rng(0).random(10**4)
    assert np.array_equal(quantised(prob), np.rint(prob * 65535))


def test_a_second_map_of_a_name_is_an_error(tmp_path):
    maps, masks = tmp_path / 'maps', tmp_path / 'masks'
    maps.mkdir()
    masks.mkdir()
    np.savez(maps / 'x.npz', PROB[0])
    np.save(maps / 'x.npy', PROB[0])
    Image.fromarray(np.eye(8, dtype=np.uint8)).save(masks / 'x.png')
    _, problems = pair_files(maps, masks)
    assert 'the same name as x.npy' in problems[0]


def object_in_alpha(path):
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[2:6, 2:6, 3] = 255
    Image.fromarray(pixels).save(path)


def object_in_transparent_palette(path):
    image = Image.fromarray(np.eye(8, dtype=np.uint8), 'P')
    image.putpalette([0, 0, 0] * 256)
    image.save(path, transparency=0)


def two_frames(path):
    frames = [Image.new('L', (8, 8), grey) for grey in (0, 255)]
    frames[0].save(path, 'TIFF', save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ('write', 'said'),
    [
        (object_in_alpha, 'transparent'),
        (object_in_transparent_palette, 'transparent'),
        (two_frames, 'has 2 frames'),
    ],
)
@pytest.mark.filterwarnings('ignore:.*mode.*:DeprecationWarning')
def test_a_mask_whose_object_would_be_overlooked(tmp_path, write, said):
    write(tmp_path / 'x.png')
    with pytest.raises(ValueError, match=said):
        read_binary_mask(tmp_path / 'x.png')


HALVING = Calibrator('temperature', 'single', 'confidence', [([0, 10], [0, 5])])
LABELS = (torch.rand(5, 16, 16) > 0.5).long()
LAST = torch.rand(5, 16, 16, 1)  # the channel
PROBS = LAST[..., 0]
BETTER = (LABELS + PROBS) / 2
OTHER = fit_calibrator(BETTER, LABELS)


@pytest.mark.parametrize(
    ('call', 'words'),
    [
        (
            lambda: ReviewOptions(smallest=float('nan')),
            'smallest must be',
        ),
        (lambda: MapFiles.of(PROBS), 'maps must be'),
        (
            lambda: review_maps(OTHER, MapFiles({}, 'maps', []), 'masks'),
            'give the masks to MapFiles.of',
        ),
        (lambda: review_maps(None, 'maps'), 'calibrator .* must be'),
        (lambda: apply_calibrator(5, 'maps', 'out'), 'calibrator .* must be'),
        (lambda: apply_calibrator(HALVING, 'm', 'o', masks=True), '^masks must be'),
    ],
)
def test_python_that_is_wrong(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize('light', [[0, 0, 0], [10, 0, 0], [100, 100, 100]])
def test_a_palette_of_equal_greys_is_read_by_its_indices(tmp_path, light):
    mask = np.zeros((9, 9), np.uint8)
    mask[3:6] = 1
    image = Image.fromarray(mask, 'P')
    image.putpalette([0, 0, 0, *light])
    image.save(tmp_path / 'm.png')
    np.testing.assert_array_equal(read_binary_mask(tmp_path / 'm.png'), mask)


def test_a_tiff_that_is_turned_or_inverted(tmp_path):
    grey = np.arange(54, dtype=np.uint16).reshape(6, 9) * 1000
    Image.fromarray(grey).save(tmp_path / 'x.tif', tiffinfo={274: 3})
    with pytest.raises(ValueError, match=r'x\.tif: its EXIF data turns it'):
        MapReader().read(tmp_path / 'x.tif')
    Image.fromarray(grey).save(tmp_path / 'x.tif', tiffinfo={262: 0})
    with pytest.raises(ValueError, match=r'x\.tif: its greys are .* \(MinIsWhite\)'):
        MapReader().read(tmp_path / 'x.tif')


def test_what_lies_beside_an_array(tmp_path):
    path = tmp_path / 'x.npy'
    with open(path, 'wb') as file:
        np.save(file, PROB[0])
        np.save(file, PROB[1])
    with pytest.raises(ValueError, match='it goes on behind its array'):
        MapReader().read(path)
    path = tmp_path / 'x.npz'
    np.savez(path)
    with pytest.raises(ValueError, match='it contains no array'):
        MapReader().read(path)
    # What is a map among other arrays is no mask.
    np.savez(path, mask=PROB[0] > 0.5, probabilities=PROB[0])
    np.testing.assert_array_equal(MapReader().read(path), PROB[0])
    with pytest.raises(ValueError, match='contains the arrays mask, probabilities'):
        read_binary_array(path)
    np.savez(path, mask=np.zeros((0, 9)))
    with pytest.raises(ValueError, match=r'has no pixels, its shape is \(0, 9\)'):
        read_binary_array(path)
