import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from mmaslp.core.measure.border_temperature import (
    BandHistograms,
    BorderTemperatures,
    divisor,
    fit_border_temperatures,
)
from mmaslp.core.measure.temperature import fit_temperature
from mmaslp.files.map_folder import evaluate_maps
from mmaslp.files.prob_maps import read_prob_map, write_prob_map
from mmaslp.report.recalibration import (
    find_temperature,
    fit_maps,
    map_logits,
    recalibrate_map,
    recalibrate_maps,
)

TRUE = BorderTemperatures((3, 3, 2, 1.5, 1))
BY_REGION = BorderTemperatures((4, 3, 2, 1.5, 0.5))


@pytest.fixture
def folders(tmp_path):
    """Maps with over-confident borders, of two halves, and their masks."""
    generator = torch.Generator().manual_seed(0)
    for half in ('val', 'test'):
        for kind in ('maps', 'masks'):
            (tmp_path / half / kind).mkdir(parents=True)
        for name in range(12):
            coarse = torch.randn(1, 1, 5, 5, generator=generator)
            smooth = torch.nn.functional.interpolate(
                coarse, (64, 64), mode='bicubic'
            ).double()[0, 0]
            logit = 4 * smooth.sign() * (0.2 + smooth.abs())
            prob = torch.sigmoid(
                logit / divisor(logit, BorderTemperatures((3, 3, 2, 1.5, 1)))
            )
            mask = torch.rand(prob.shape, generator=generator) < prob
            write_prob_map(tmp_path / half / f'maps/{name}.png', torch.sigmoid(logit))
            Image.fromarray(255 * mask.numpy().astype(np.uint8)).save(
                tmp_path / half / f'masks/{name}.png'
            )
    return tmp_path


def test_fit_is_that_of_the_logits(folders):
    maps, masks = folders / 'val/maps', folders / 'val/masks'
    out = folders / 'new/t.json'
    record = fit_maps(maps, masks, out, 'border')
    assert json.loads(out.read_text()) == record
    assert record['num_images'] == 12 and record['maps'] == str(maps)
    histograms = BandHistograms()
    for path in maps.iterdir():
        mask = np.asarray(Image.open(masks / path.name)) > 0
        prob = read_prob_map(path).astype(np.float64).clip(1e-5, 1 - 1e-5)
        histograms.update(np.log(prob / (1 - prob)), mask)
    assert record['temperature'] == pytest.approx(
        fit_temperature(histograms.whole()), rel=1e-3
    )
    assert record['regions']['temperatures'] == pytest.approx(
        fit_border_temperatures(histograms).temperatures, rel=1e-3
    )
    assert 'regions' not in fit_maps(maps, masks, out)
    assert find_temperature(str(out)) == record['temperature']


def test_recalibrated_maps_of_other_images_are_calibrated(folders):
    out = str(folders / 't.json')
    fit_maps(folders / 'val/maps', folders / 'val/masks', out, 'border')
    masks = folders / 'test/masks'
    results = [evaluate_maps(folders / 'test/maps', masks, resamples=0)['result']]
    for name, regions in (('single', False), ('regions', True)):
        temperature = find_temperature(out, regions)
        assert isinstance(temperature, BorderTemperatures) == regions
        folder = folders / 'out' / name
        assert recalibrate_maps(folders / 'test/maps', folder, temperature) == 12
        results.append(evaluate_maps(folder, masks, resamples=0)['result'])
        for path in folder.iterdir():
            plain = read_prob_map(folders / 'test/maps' / path.name)
            assert np.array_equal(read_prob_map(path) > 0.5, plain > 0.5)
    raw, single, regions = results
    assert raw['acc'] == single['acc'] == regions['acc']
    assert regions['nll'] < single['nll'] < raw['nll']


def test_a_temperature_of_one_leaves_16_bit_maps_as_they_are(folders):
    recalibrate_maps(folders / 'val/maps', folders / 'same', 1.0)
    for path in (folders / 'same').iterdir():
        first = np.asarray(Image.open(path))
        second = np.asarray(Image.open(folders / 'val/maps' / path.name))
        inside = (second > 0) & (second < 65535)
        assert np.array_equal(first[inside], second[inside])


@pytest.mark.parametrize('temperature', [0.01, 1.0, 100.0, BY_REGION])
def test_every_pixel_stays_on_its_side(tmp_path, temperature):
    (tmp_path / 'maps').mkdir()
    prob = torch.rand(64, 64, dtype=torch.float64).numpy()
    prob[:8] = 0.5 + np.linspace(-1e-9, 1e-9, 512).reshape(8, 64)
    prob[0, 0], prob[0, 1], prob[0, 2] = 0.5, 0, 1
    np.save(tmp_path / 'maps/a.npy', prob)
    eight = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(eight).save(tmp_path / 'maps/b.png')
    recalibrate_maps(tmp_path / 'maps', tmp_path / 'out', temperature)
    for name, plain in (('a', prob), ('b', eight / 255)):
        found = read_prob_map(tmp_path / f'out/{name}.png')
        assert np.array_equal(found > 0.5, plain > 0.5)


def test_logits_of_each_kind_of_map(tmp_path):
    """Against float64, and half a step from 0 and 1."""
    sixteen = np.array([[0, 1, 32767, 32768, 65534, 65535]], np.uint16)
    Image.fromarray(sixteen).save(tmp_path / 'a.png')
    Image.fromarray(np.array([[0, 1, 127, 128, 254, 255]], np.uint8)).save(
        tmp_path / 'b.png'
    )
    kinds = {'a.png': (sixteen[0] / 65535, 2**16 - 1)}
    kinds['b.png'] = (np.array([0, 1, 127, 128, 254, 255]) / 255, 255)
    for dtype, bits in ((np.float16, 11), (np.float32, 24), (np.float64, 53)):
        prob = np.array([[0, 0.25, 0.5, 0.75, 1]], dtype)
        np.save(tmp_path / f'{bits}.npy', prob)
        kinds[f'{bits}.npy'] = (prob[0].astype(np.float64), 2**bits)
    for name, (prob, top) in kinds.items():
        found = map_logits(tmp_path / name).numpy()[0]
        assert found.dtype == np.float64
        inner = prob[1:-1]
        np.testing.assert_allclose(
            found[1:-1], np.log(inner / (1 - inner)), rtol=1e-9, atol=1e-12
        )
        assert found[-1] == pytest.approx(math.log(2 * top - 1), rel=1e-9)
        assert found[0] == -found[-1]


def test_map_keeps_the_probability():
    logit = torch.randn(32, 32, dtype=torch.float64) * 5
    expected = torch.sigmoid(logit / divisor(logit, BY_REGION))
    assert torch.allclose(recalibrate_map(logit, BY_REGION), expected, atol=1e-5)


def test_bad_folders_and_files(folders):
    maps, masks, out = folders / 'val/maps', folders / 'val/masks', folders / 't.json'
    with pytest.raises(ValueError, match='is the folder of the inputs'):
        recalibrate_maps(maps, str(maps) + '/../maps', 2.0)
    with pytest.raises(ValueError, match='cannot be listed'):
        recalibrate_maps(folders / 'no', folders / 'out', 2.0)
    out.write_text('')
    with pytest.raises(ValueError, match='is a file: name a folder'):
        recalibrate_maps(maps, out, 2.0)
    with pytest.raises(OSError, match='cannot be written'):
        fit_maps(maps, masks, out / 'x.json')
    with pytest.raises(ValueError, match="not 'size'"):
        fit_maps(maps, masks, out, 'size')
    (masks / '3.png').rename(masks / 'other.png')
    with pytest.raises(ValueError, match=r'3\.png: no mask of this name.*and 1 more'):
        fit_maps(maps, masks, out)
    (masks / 'other.png').rename(masks / '3.png')
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(masks / '3.png')
    with pytest.raises(ValueError, match=r'\(64, 64\), but \(3, 4\)'):
        fit_maps(maps, masks, out)
    (masks / '3.png').write_bytes(b'no image')
    with pytest.raises(ValueError, match=r'masks/3\.png'):
        fit_maps(maps, masks, out)
    (maps / '3.png').write_bytes(b'no image')
    for call in (
        lambda: fit_maps(maps, masks, out),
        lambda: recalibrate_maps(maps, folders / 'out', 2.0),
    ):
        with pytest.raises(ValueError, match=r'maps/3\.png: cannot be read') as error:
            call()
        assert '\n' not in str(error.value)


def test_temperatures_that_are_none(tmp_path):
    assert find_temperature('2.5') == 2.5
    for given in ('0', '-1', 'nan', 'inf'):
        with pytest.raises(ValueError, match='temperature must be a number in'):
            find_temperature(given)
    with pytest.raises(FileNotFoundError, match='no temperature at'):
        find_temperature(str(tmp_path / 't.json'))
    (tmp_path / 't.json').write_text('{"temperature": 2}')
    with pytest.raises(ValueError, match='neither a checkpoint nor maps'):
        find_temperature(str(tmp_path / 't.json'))
