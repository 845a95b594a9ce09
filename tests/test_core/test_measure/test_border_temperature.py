import doctest
import json
import math

import numpy as np
import pytest
import torch

from mmaslp.core.bands import border_bands
from mmaslp.core.measure import border_temperature
from mmaslp.core.measure.border_temperature import (
    UNIT,
    BandHistograms,
    BorderTemperatures,
    as_temperature,
    divisor,
    fit_border_temperatures,
    temperature_text,
)
from mmaslp.core.measure.temperature import fit_temperature
from tests.test_core.test_measure.logit_samples import counted, exact_nll

TRUE = (3.0, 2.5, 2.0, 1.5, 1.0)


def images(number, seed=0, size=(64, 64), temperatures=TRUE):
    """Smooth logits of objects, and labels that are over-confident by band."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(number, 1, 5, 5, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size, mode='bicubic')[:, 0]
    logits = 5 * smooth.sign() * (0.2 + smooth.abs())
    values = torch.tensor(temperatures, dtype=torch.float64)
    true = values[border_bands(logits > 0).long()]
    draws = torch.rand(logits.shape, generator=generator, dtype=torch.float64)
    return logits, (draws < torch.sigmoid(logits.double() / true)).long()


def histograms_of(logits, labels, **options):
    histograms = BandHistograms(**options)
    for logit, label in zip(logits, labels):
        histograms.update(logit, label)
    return histograms


def test_example():
    assert doctest.testmod(border_temperature).failed == 0


def test_each_band_minimises_its_own_nll_with_a_mean_image_added():
    """Against a float64 minimiser on the pixels themselves."""
    optimize = pytest.importorskip('scipy.optimize')
    logits, labels = images(12)
    fitted = fit_border_temperatures(histograms_of(logits, labels), prior_images=2)
    bands = border_bands(logits > 0)
    for band, found in enumerate(fitted.temperatures):
        z, y = logits[bands == band], labels[bands == band]
        extra = 2 * logits[0].numel()

        def loss(log, z=z, y=y, extra=extra):
            inverse = math.exp(-log)
            own = len(z) * exact_nll(z, y, inverse)
            return own + extra * exact_nll(logits.flatten(), labels.flatten(), inverse)

        best = optimize.minimize_scalar(
            loss, bounds=(-6, 6), method='bounded', options=dict(xatol=1e-9)
        )
        assert found == pytest.approx(math.exp(best.x), rel=1e-4)


def test_true_temperatures_are_found():
    fitted = fit_border_temperatures(histograms_of(*images(150)))
    assert fitted.temperatures == pytest.approx(TRUE, rel=0.08)


def test_bands_are_calibrated_on_other_images_where_a_single_temperature_fails():
    fit, held_out = (histograms_of(*images(60, seed=seed)) for seed in (1, 2))
    by_band = fit_border_temperatures(fit).temperatures
    single = [fit_temperature(fit.whole())] * 5
    raw, one, many = (held_out.measures(t) for t in ([1.0] * 5, single, by_band))
    assert raw['ece_band'] > one['ece_band'] > 0.02
    assert many['ece_band'] < 0.2 * one['ece_band']
    assert many['nll'] < one['nll'] < raw['nll']
    for band in range(5):
        gap = [held_out.bands[band].ece(t[band], bins=1) for t in (single, by_band)]
        assert gap[1] < max(0.35 * gap[0], 0.01)


def test_measures_are_those_of_the_pixels():
    logits, labels = images(6)
    found = histograms_of(logits, labels).measures(TRUE)
    bands = border_bands(logits > 0)
    scaled = logits.double() / torch.tensor(TRUE, dtype=torch.float64)[bands.long()]
    conf = torch.sigmoid(scaled.abs())
    gap = conf - ((logits > 0) == labels).double()
    index = (conf * 10).ceil().long() - 1
    for key, groups in (('ece', index), ('ece_band', bands.long())):
        sums = torch.bincount(groups.flatten(), gap.flatten())
        assert found[key] == pytest.approx(
            sums.abs().sum().item() / gap.numel(), abs=1e-3
        )
    nll = exact_nll(scaled, labels, 1)
    assert found['nll'] == pytest.approx(nll, abs=5e-4)
    own = exact_nll(scaled[bands == 0], labels[bands == 0], 1)
    assert found['nll_band'][0] == pytest.approx(own, abs=5e-4)


def test_parts_add_up_to_the_whole():
    logits, labels = images(9)
    whole = histograms_of(logits, labels)
    parts = histograms_of(logits[:2], labels[:2])
    parts.merge(histograms_of(logits[2:], labels[2:]))
    for one, two in zip(parts.sums(), whole.sums()):
        assert torch.equal(one, two)
    assert int(whole.images) == 9
    plain = counted(logits.flatten(), labels.flatten())
    for one, two in zip(whole.whole().sums(), plain.sums()):
        assert torch.equal(one, two)
    assert fit_border_temperatures(parts) == fit_border_temperatures(whole)
    with pytest.raises(ValueError, match='edges'):
        parts.merge(BandHistograms(edges=(2.0,)))


def test_many_images_weigh_more_than_the_prior():
    histograms = histograms_of(*images(12))
    single = fit_temperature(histograms.whole())
    distance = [
        sum(
            abs(math.log(t / single))
            for t in fit_border_temperatures(histograms, prior).temperatures
        )
        for prior in (1e-9, 1, 10, 1e9)
    ]
    assert distance == sorted(distance, reverse=True)
    assert distance[-1] == pytest.approx(0, abs=1e-6)


def test_bands_that_have_no_optimum_of_their_own():
    logits, labels = images(12)
    bands = border_bands(logits > 0)
    labels[bands == 4] = (logits > 0)[bands == 4].long()  # no error
    labels[bands == 0] = (logits <= 0)[bands == 0].long()  # nothing but errors
    fitted = fit_border_temperatures(histograms_of(logits, labels))
    single = fit_temperature(histograms_of(logits, labels).whole())
    assert 2**-10 < fitted.temperatures[4] < single < fitted.temperatures[0] <= 2**10


def test_a_band_without_pixels_takes_the_single_temperature():
    logits, labels = images(12, size=(16, 16), temperatures=(2.0,) * 5)
    # Pixels are 4 units wide here: none is that near to a border, or between.
    histograms = histograms_of(logits, labels)
    assert [band.count > 0 for band in histograms.bands[:3]] == [False, True, False]
    single = fit_temperature(histograms.whole())
    assert fit_border_temperatures(histograms).temperatures[0:3:2] == (single, single)
    assert histograms.measures([1.0] * 5)['nll_band'][0:3:2] == [None, None]


def test_ignored_pixels_make_borders_but_count_nowhere():
    logits, labels = images(3)
    ignored = labels.clone()
    ignored[:, :20] = 255
    found = histograms_of(logits, ignored)
    bands = border_bands(logits > 0)
    for number, band in enumerate(found.bands):
        assert band.count == int((bands[:, 20:] == number).sum())


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64, torch.float16])
def test_the_mask_stays_pixel_by_pixel(dtype):
    logits, _ = images(3)
    logits[0, :5] *= 1e-6
    logits[1, 7] = 0
    by_band = BorderTemperatures((9, 0.01, 3, 50, 2))
    for logit in logits.to(dtype):
        temperature = divisor(logit, by_band)
        assert temperature.dtype == dtype
        band = border_bands((logit > 0)[None])[0].long()
        values = torch.tensor(by_band.temperatures, dtype=dtype)
        assert torch.equal(temperature, values[band])
        if dtype != torch.float16:
            assert torch.equal(logit / temperature > 0, logit > 0)
    assert divisor(logits[0], 2.5) == 2.5


def test_one_class_and_bad_images():
    histograms = BandHistograms()
    zeros = torch.zeros(8, 8, dtype=torch.long)
    with pytest.raises(ValueError, match='no pixel'):
        fit_border_temperatures(histograms)
    histograms.update(torch.full((8, 8), -3.0), zeros)
    with pytest.raises(ValueError, match='all 64 pixels are background'):
        fit_border_temperatures(histograms)
    for logit, label, message in (
        (torch.zeros(1, 8, 8), zeros, r'both be \(H, W\)'),
        (torch.zeros(8, 7), zeros, r'both be \(H, W\)'),
        (torch.full((8, 8), math.nan), zeros, 'finite'),
        (torch.zeros(8, 8), zeros + 7, 'holds 7'),
        (zeros, zeros, 'floating point'),
    ):
        with pytest.raises(ValueError, match=message):
            histograms.update(logit, label)


def test_record_goes_around():
    by_band = BorderTemperatures((1, 2.5, np.float64(0.5)), edges=(2, 4))
    record = json.loads(json.dumps(by_band.record()))
    assert record['kind'] == 'border' and record['unit'] == UNIT
    assert as_temperature({**record, 'pixels': [1, 2, 3]}) == by_band
    assert as_temperature(by_band) is by_band
    assert as_temperature(2) == 2.0
    assert temperature_text(by_band) == ('by region, 1 (to 2), 2.5 (to 4), 0.5 beyond')
    assert temperature_text(1.23456789) == '1.23457'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(kind='size'), 'kind of the regions'),
        (dict(unit='pixels'), 'unit of the regions'),
        (dict(temperatures=[1, 2]), 'make 3 bands, but there are 2'),
        (dict(temperatures=[1, 0, 2]), 'a number in .*, got 0'),
        (dict(temperatures=[1, math.nan, 2]), 'a number in .*, got nan'),
        (dict(temperatures='123'), "a number in .*, got '1'"),
        (dict(temperatures=2.0), 'must be a list'),
        (dict(temperatures=None), 'must be a list'),
        (dict(edges=[4, 2]), 'ascend'),
        (dict(edges=[0, 2]), 'ascend from above 0'),
        (dict(edges=[2, math.inf]), 'ascend'),
        (dict(edges=['2', '4']), 'ascend'),
    ],
)
def test_damaged_records(change, message):
    record = BorderTemperatures((1, 2, 3), edges=(2, 4)).record()
    with pytest.raises(ValueError, match=message):
        as_temperature({**record, **change})


def test_records_that_lack_something():
    record = BorderTemperatures((1, 2, 3), edges=(2, 4)).record()
    for key in record:
        with pytest.raises(ValueError, match=key):
            as_temperature({k: v for k, v in record.items() if k != key})
    for other in ([1, 2], None, True, 'x'):
        with pytest.raises(ValueError, match='temperature must be a number in'):
            as_temperature(other)
