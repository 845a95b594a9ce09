"""Calibrated maps come back in the form of the file that was read."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from mmaslp import Calibrator
from mmaslp.calibration import dice_optimal_mask
from mmaslp.files.prob_maps import MapReader, write_prob_map
from mmaslp.workflows.apply import apply_calibrator
from tests.evil import command
from tests.test_calibration.object_scenes import JUDGING

HALVING = Calibrator('temperature', 'single', 'confidence', [([0, 10], [0, 5])])
VOLUME = np.random.default_rng(0).random((3, 8, 8)).astype(np.float32)


@pytest.mark.parametrize('key', ['file', 'allow_pickle', 'é'])
def test_any_array_of_npz_is_calibrated(tmp_path, monkeypatch, key):
    monkeypatch.chdir(tmp_path)
    Path('maps').mkdir()
    JUDGING.save('c.json')
    np.savez('maps/a.npz', values=VOLUME[0])
    os.rename('maps/a.npz', 'a.zip')
    shutil.unpack_archive('a.zip', 'a')
    os.makedirs(Path('b', key).parent)
    os.rename('a/values.npy', f'b/{key}.npy')
    shutil.make_archive('b', 'zip', 'b')
    os.rename('b.zip', 'maps/a.npz')
    assert command('apply', 'c.json', 'maps', '--out', 'out') == 0
    with np.load('out/a.npz') as found:
        np.testing.assert_array_equal(found[key], JUDGING(VOLUME[0]))


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


def test_maps_may_be_written_here(tmp_path, monkeypatch):
    write_prob_map(tmp_path / 'maps' / 'a.png', VOLUME[0])
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    apply_calibrator(HALVING, tmp_path / 'maps', '.', masks='keep')
    assert [path.name for path in Path('.').iterdir()] == ['a.png']
    assert (tmp_path / 'here_masks' / 'a.png').is_file()
