"""Files that are odd, broken or hostile, and what is written in their place."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmaslp import Calibrator, fit_calibrator
from mmaslp.calibration import dice_optimal_mask
from mmaslp.calibration.decisions import Decisions, Predictor
from mmaslp.calibration.features import DOMAIN_FEATURES
from mmaslp.files.calibrated_maps import apply_calibrator
from mmaslp.files.images import read_binary_mask
from mmaslp.files.map_pairs import MapFiles, pair_files
from mmaslp.files.nnunet_maps import find_dataset
from mmaslp.files.prob_maps import MapReader, quantised, write_prob_map
from mmaslp.files.review import review_image, review_maps
from tests.evil import command

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


JUDGING = Calibrator(
    'temperature',
    'single',
    'confidence',
    [([0, 10], [0, 5])],
    decisions=Decisions(
        objects=Predictor('logistic', [0.0, 0.0]),
        features=[[0.1] * len(DOMAIN_FEATURES)],
        expected=[0.5],
        dice=[0.5],
        area_errors=[0.0],
        accuracy_errors=[0.0],
        empty=[5, 2],
        cuts=[[0.0, 1.0, 0.0, 0.5]],
    ),
)


@pytest.mark.parametrize('key', ['file', 'allow_pickle', 'é'])
def test_any_array_of_npz_is_calibrated(tmp_path, monkeypatch, key):
    monkeypatch.chdir(tmp_path)
    Path('maps').mkdir()
    JUDGING.save('c.json')
    np.savez('maps/a.npz', values=PROB[0])
    os.rename('maps/a.npz', 'a.zip')
    shutil.unpack_archive('a.zip', 'a')
    os.makedirs(Path('b', key).parent)
    os.rename('a/values.npy', f'b/{key}.npy')
    shutil.make_archive('b', 'zip', 'b')
    os.rename('b.zip', 'maps/a.npz')
    assert command('apply', 'c.json', 'maps', '--out', 'out') == 0
    with np.load('out/a.npz') as found:
        np.testing.assert_array_equal(found[key], JUDGING(PROB[0]))


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


HALVING = Calibrator('temperature', 'single', 'confidence', [([0, 10], [0, 5])])
VOLUME = np.random.default_rng(0).random((3, 8, 8)).astype(np.float32)


@pytest.mark.parametrize('suffix', ['npy', 'NPY', 'npz', 'NPZ'])
@pytest.mark.parametrize('shape', [(8, 8), (1, 8, 8)])
def test_an_array_comes_back_in_its_form(tmp_path, suffix, shape):
    maps, out = tmp_path / 'maps', tmp_path / 'out'
    maps.mkdir()
    prob, other = VOLUME[0].reshape(shape), np.arange(3)
    buffer = io.BytesIO()
    if suffix.lower() == 'npy':
        np.save(buffer, prob)
    else:
        np.savez(buffer, prob=prob, other=other)
    (maps / f'x.{suffix}').write_bytes(buffer.getvalue())
    reader = MapReader(key='prob' if suffix.lower() == 'npz' else None)
    apply_calibrator(HALVING, maps, out, reader=reader)
    found = np.load(io.BytesIO((out / f'x.{suffix}').read_bytes()))
    if suffix.lower() == 'npz':
        assert found.files == ['prob']
        found = found['prob']
    assert found.shape == shape
    np.testing.assert_array_equal(found, HALVING(prob))


def test_per_cent_in_an_npz(tmp_path):
    maps = tmp_path / 'maps'
    maps.mkdir()
    softmax = np.stack([1 - VOLUME, VOLUME]) * 100
    np.savez(maps / 'x.npz', probabilities=softmax)
    reader = MapReader(max_value=100)
    np.testing.assert_allclose(reader.read(maps / 'x.npz'), VOLUME, rtol=1e-6)
    apply_calibrator(HALVING, maps, tmp_path / 'out', reader=reader)
    found = np.load(tmp_path / 'out' / 'x.npz')['probabilities']
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-6)
    np.testing.assert_allclose(found[1], HALVING(VOLUME), atol=1e-6)


def test_a_volume_has_one_threshold(tmp_path):
    maps = tmp_path / 'maps'
    maps.mkdir()
    prob = VOLUME * np.array([0.2, 0.6, 1.0], np.float32)[:, None, None]
    np.savez(maps / 'x.npz', probabilities=np.stack([1 - prob, prob]))
    apply_calibrator(HALVING, maps, tmp_path / 'out', masks='dice')
    written = np.load(tmp_path / 'out_masks' / 'x.npy') > 0
    whole = dice_optimal_mask(HALVING(prob)[None, None])[0, 0]
    apart = np.stack([dice_optimal_mask(HALVING(each)) for each in prob])
    assert np.array_equal(written, whole)
    assert np.array_equal(HALVING.masks(prob), whole)
    assert not np.array_equal(whole, apart)


def test_a_second_map_of_a_name_is_an_error(tmp_path):
    maps, masks = tmp_path / 'maps', tmp_path / 'masks'
    maps.mkdir()
    masks.mkdir()
    np.savez(maps / 'x.npz', VOLUME[0])
    np.save(maps / 'x.npy', VOLUME[0])
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


def test_maps_may_be_written_here(tmp_path, monkeypatch):
    write_prob_map(tmp_path / 'maps' / 'a.png', VOLUME[0])
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    apply_calibrator(HALVING, tmp_path / 'maps', '.', masks='keep')
    assert [path.name for path in Path('.').iterdir()] == ['a.png']
    assert (tmp_path / 'here_masks' / 'a.png').is_file()


LABELS = (torch.rand(5, 16, 16) > 0.5).long()
LAST = torch.rand(5, 16, 16, 1)  # the channel
PROBS = LAST[..., 0]
BETTER = (LABELS + PROBS) / 2
OTHER = fit_calibrator(BETTER, LABELS)


@pytest.mark.parametrize(
    ('call', 'words'),
    [
        (
            lambda: review_image(OTHER, 'a', BETTER[0].numpy(), smallest=float('nan')),
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
