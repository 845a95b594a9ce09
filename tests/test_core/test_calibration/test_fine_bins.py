import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mmaslp.core import CalibrationHistogram
from mmaslp.core.calibration import (
    TIED,
    BinTable,
    binned_figures,
    equal_mass,
    equal_width,
    sweep,
    tied_figures,
)
from mmaslp.core.calibration.binning import equal_mass_rows, sweep_rows
from mmaslp.core.calibration.fine_bins import LEAST, NarrowBins, pack
from mmaslp.core.calibration.image_table import ImageTable
from tests.properties import given, settings, st

reference = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('reference.py')))


def scene(seed, size=3000, gain=1.5, steps=65535):
    """Over-confident scores on a grid whose values are levels of the histogram."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(rng.normal(0, 1), 2, size)
    label = rng.random(size) < 1 / (1 + np.exp(-logit))
    return np.rint(steps / (1 + np.exp(-gain * logit))) / steps, label.astype(int)


def spoiled(prob, label, number):
    """The same counts per narrow bin, all wrong ones first: the worst order inside."""
    slot = np.ceil(prob * number)
    order = np.lexsort((prob, slot))
    label = label.copy()
    label[order] = label[np.lexsort((label, slot))]
    return prob, label


def measured(prob, label, bins=10, mode='positive'):
    """Exact figures, the narrow bins, and the figures of these."""
    histogram = CalibrationHistogram()
    histogram.update(prob, label)
    levels = histogram.levels(mode)
    narrow = ImageTable([ImageTable.record('a', histogram, bins, mode)], bins).narrow
    return levels, histogram.compute(bins, mode), narrow


def bounds(levels, number, bins):
    """Those of the docstring of tied_figures, for ``bins`` parts of one mass."""
    table = equal_width(levels, number)
    edge = np.arange(number + 1) / number
    rise = (table.count - table.right) * edge[1:]
    fall = table.right * (1 - edge[:-1])
    # Exact edges, as ranks; those inside of a narrow bin cut it.
    before = np.concatenate([[0], np.cumsum(levels.count)])
    ranks = -(-np.arange(1, bins) * levels.total // bins)
    ranks = before[np.searchsorted(before, ranks)]
    starts = np.concatenate([[0], np.cumsum(table.count)])
    own = np.searchsorted(starts, ranks, side='right') - 1
    cut = np.unique(own[starts[own] < ranks])
    cut = cut[cut < number]
    total = levels.total
    return (
        2 * np.maximum(rise, fall)[cut].sum() / total,
        np.minimum(rise, fall).max() / total,
    )


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    gain=st.sampled_from([0.5, 1.0, 1.5, 6.0]),
    bins=st.sampled_from([1, 3, 10, 15]),
    worst=st.booleans(),
    mode=st.sampled_from(['top_label', 'positive']),
)
def test_ties_change_figures_within_their_bounds(seed, gain, bins, worst, mode):
    prob, label = scene(seed, gain=gain)
    number = bins * -(-LEAST // bins)
    if worst:
        prob, label = spoiled(prob, label, number)
    levels, exact, narrow = measured(prob, label, bins, mode)
    found = tied_figures(narrow.pooled(), bins)
    mass, ks = bounds(levels, number, bins)
    assert abs(found['ece_em'] - exact['ece_em']) <= mass + 1e-9
    assert -1e-9 <= exact['ks'] - found['ks'] <= ks + 1e-9
    apart = abs(exact['conf'] - exact['acc'])
    singles = np.abs(levels.conf * levels.count - levels.right).sum() / levels.total
    for value in (found['ece_sweep'], exact['ece_sweep']):
        assert apart - 1e-9 <= value <= singles + 1e-9


def test_sweeps_of_one_number_of_bins_keep_the_bound_of_equal_mass():
    same = 0
    for seed in range(40):
        levels, exact, narrow = measured(*scene(seed))
        table = narrow.pooled()
        rows = BinTable(table.count[None], table.right[None], table.conf[None])
        parts = int((sweep_rows(rows).count > 0).sum())
        if parts != exact['sweep_bins']:
            continue
        same += 1
        found = tied_figures(table, 10)['ece_sweep']
        bound = bounds(levels, narrow.number, parts)[0]
        assert abs(found - exact['ece_sweep']) <= bound + 1e-9
    assert same > 10


def test_bound_of_ks_is_reached():
    # One narrow bin around 0.5: all wrong ones first, then as many right ones.
    prob = np.repeat([0.5002, 0.5003], 500)
    label = np.repeat([0, 1], 500)
    levels, exact, narrow = measured(prob, label)
    found = tied_figures(narrow.pooled(), 10)['ks']
    bound = bounds(levels, narrow.number, 10)[1]
    assert exact['ks'] - found == pytest.approx(bound, rel=0.01)
    assert found < 0.001 < 0.24 < bound


@pytest.mark.parametrize('bins', [1, 7, 10, 15, 300])
@pytest.mark.parametrize('mode', ['top_label', 'positive'])
@pytest.mark.parametrize('seed', range(4))
def test_8_bit_values_are_exact(bins, mode, seed):
    prob, label = scene(seed, steps=255)
    _, exact, narrow = measured(prob, label, bins, mode)
    found = tied_figures(narrow.pooled(), bins)
    for key in TIED:
        assert found[key] == pytest.approx(exact[key], abs=1e-9), key


@pytest.mark.parametrize('kind', ['noise', 'flawless', 'gaps'])
def test_rows_are_cut_as_single_levels_are(kind):
    rng = np.random.default_rng(0)
    levels, rows = [], []
    for seed in range(30):
        prob, label = scene(seed, size=rng.integers(1, 400), steps=255)
        if kind == 'flawless':
            label = (prob > 0.5).astype(int)
        if kind == 'gaps':
            prob = np.rint(prob * 6) / 6
        histogram = CalibrationHistogram()
        histogram.update(prob, label)
        levels.append(histogram.levels())
        rows.append(equal_width(levels[-1], 300))
    table = BinTable(
        *(np.stack([getattr(r, k) for r in rows]) for k in ('count', 'right', 'conf'))
    )
    for many, own in (
        (equal_mass_rows(table, 10), [equal_mass(each, 10) for each in levels]),
        (sweep_rows(table), [sweep(each) for each in levels]),
    ):
        for row, expected in enumerate(own):
            filled = many.count[row] > 0
            assert np.array_equal(many.count[row, filled], expected.count)
            assert np.array_equal(many.right[row, filled], expected.right)
            assert many.conf[row, filled] == pytest.approx(expected.conf)


def test_narrow_bins_divide_the_bins():
    for bins in (1, 7, 10, 34, 600):
        histogram = CalibrationHistogram()
        histogram.update(*scene(0))
        table = ImageTable([ImageTable.record('a', histogram, bins)], bins)
        expected = equal_width(histogram.levels(), bins)
        assert np.array_equal(table.table.count[0], expected.count)
        assert np.array_equal(table.table.right[0], expected.right)
        assert table.table.conf[0] == pytest.approx(expected.conf)
        assert table.narrow.number % bins == 0 and table.narrow.number >= LEAST


def test_pooled_adds_what_the_weights_say():
    images, tables = [], []
    for seed in range(5):
        histogram = CalibrationHistogram()
        histogram.update(*scene(seed, size=50 * seed))  # the first has no pixel
        tables.append(equal_width(histogram.levels(), 260))
        images.append(pack(tables[-1]))
    narrow = NarrowBins(images, 260)
    weights = np.array([[1, 1, 1, 1, 1], [3, 0, 2, 0, 0], [5, 0, 0, 0, 0.0]])
    found = narrow.pooled(weights)
    dense = [np.stack([getattr(t, k) for t in tables]) for k in ('count', 'right')]
    conf = weights @ np.stack([each.conf for each in tables])
    filled = dense[0].any(0)
    assert np.array_equal(found.count, (weights @ dense[0])[:, filled])
    assert np.array_equal(found.right, (weights @ dense[1])[:, filled])
    assert found.conf == pytest.approx(conf[:, filled], abs=1e-6)
    assert found.count.dtype == np.int64
    assert narrow.num_pixels.tolist() == [0, 50, 100, 150, 200]


def test_no_pixel_gives_nan():
    for images in ([], [pack(BinTable(*np.zeros((3, 260))))] * 2):
        narrow = NarrowBins(images, 260)
        for table in (narrow.pooled(), narrow.pooled(np.ones((3, len(images))))):
            found = tied_figures(table, 10)
            assert all(np.isnan(value).all() for value in found.values())
            assert all(v.shape == table.total.shape for v in found.values())


def test_json_keeps_every_bit_and_refuses_damage():
    histogram = CalibrationHistogram()
    histogram.update(*scene(0))
    empty = pack(BinTable(*np.zeros((3, 260))))
    narrow = NarrowBins([pack(equal_width(histogram.levels(), 260)), empty], 260)
    content = narrow.to_json()
    again = NarrowBins.from_json(content)
    assert again.number == 260
    assert np.array_equal(again.images[0], narrow.images[0])
    assert again.images[1].dtype == empty.dtype and len(again.images[1]) == 0
    text = content['images'][0]
    for damaged in (text[:-8], '!' + text, text[:40] + 'AAAA' + text[44:]):
        with pytest.raises(ValueError, match='narrow bins'):
            NarrowBins.from_json({'number': 260, 'images': [damaged]})
    with pytest.raises(ValueError, match='impossible'):
        NarrowBins.from_json({'number': 100, 'images': [text]})


def test_memory_has_a_bound():
    histogram = CalibrationHistogram()
    histogram.update(*scene(0, size=200_000))
    for mode, most in (('top_label', 130), ('positive', 260)):
        rows = ImageTable.record('a', histogram, 10, mode)['narrow']
        assert rows.nbytes <= 16 * most


def test_ece_from_narrow_bins_is_that_of_the_bins():
    _, exact, narrow = measured(*scene(1))
    table = narrow.pooled()
    histogram_bins = np.zeros((3, narrow.number))
    filled = narrow.images[0]['bin']
    histogram_bins[:, filled] = table.count, table.right, table.conf
    joined = BinTable(*histogram_bins).joined(narrow.number // 10)
    assert float(binned_figures(joined)['ece']) == pytest.approx(exact['ece'])
