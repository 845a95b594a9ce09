import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mmaslp.core import CalibrationHistogram
from mmaslp.core.measure import (
    SORTED,
    BinTable,
    ImageTable,
    equal_width,
    sorted_metrics,
)
from mmaslp.core.measure.binning import sweep_rows
from mmaslp.core.measure.fine_bins import LEAST, FineBins, pack
from tests.properties import given, settings, st

# Not importable by name under pytest's importlib mode.
pixels = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('pixels.py')))
scene = pixels.scene


def spoiled(prob, label, number):
    """The same counts per fine bin, all wrong ones first: the worst order inside."""
    slot = np.ceil(prob * number)
    order = np.lexsort((prob, slot))
    label = label.copy()
    label[order] = label[np.lexsort((label, slot))]
    return prob, label


def measured(prob, label, bins=10, mode='positive'):
    """Exact metrics, the fine bins, and the metrics of these."""
    histogram = CalibrationHistogram()
    histogram.update(prob, label)
    scores = histogram.score_table(mode)
    fine = ImageTable([ImageTable.record('a', histogram, bins, mode)], bins).fine
    return scores, histogram.compute(bins, mode), fine


def bounds(scores, number, bins):
    """Those of the docstring of sorted_metrics, for ``bins`` parts of one mass."""
    table = equal_width(scores, number)
    edge = np.arange(number + 1) / number
    rise = (table.count - table.correct) * edge[1:]
    fall = table.correct * (1 - edge[:-1])
    # Exact edges, as ranks; those inside of a fine bin cut it.
    before = np.concatenate([[0], np.cumsum(scores.count)])
    ranks = -(-np.arange(1, bins) * scores.total // bins)
    ranks = before[np.searchsorted(before, ranks)]
    starts = np.concatenate([[0], np.cumsum(table.count)])
    own = np.searchsorted(starts, ranks, side='right') - 1
    cut = np.unique(own[starts[own] < ranks])
    cut = cut[cut < number]
    total = scores.total
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
def test_ties_change_metrics_within_their_bounds(seed, gain, bins, worst, mode):
    prob, label = scene(seed, gain=gain)
    number = bins * -(-LEAST // bins)
    if worst:
        prob, label = spoiled(prob, label, number)
    scores, exact, fine = measured(prob, label, bins, mode)
    found = sorted_metrics(fine.pooled(), bins)
    mass, ks = bounds(scores, number, bins)
    assert abs(found['ece_em'] - exact['ece_em']) <= mass + 1e-9
    assert -1e-9 <= exact['ks'] - found['ks'] <= ks + 1e-9
    apart = abs(exact['conf'] - exact['acc'])
    singles = np.abs(scores.conf * scores.count - scores.correct).sum() / scores.total
    for value in (found['ece_sweep'], exact['ece_sweep']):
        assert apart - 1e-9 <= value <= singles + 1e-9


def test_sweeps_of_one_number_of_bins_keep_the_bound_of_equal_mass():
    same = 0
    for seed in range(40):
        scores, exact, fine = measured(*scene(seed))
        table = fine.pooled()
        rows = BinTable(table.count[None], table.correct[None], table.conf[None])
        parts = int((sweep_rows(rows).count > 0).sum())
        if parts != exact['sweep_bins']:
            continue
        same += 1
        found = sorted_metrics(table, 10)['ece_sweep']
        bound = bounds(scores, fine.number, parts)[0]
        assert abs(found - exact['ece_sweep']) <= bound + 1e-9
    assert same > 10


def test_bound_of_ks_is_reached():
    # One fine bin around 0.5: all wrong ones first, then as many right ones.
    prob = np.repeat([0.5002, 0.5003], 500)
    label = np.repeat([0, 1], 500)
    scores, exact, fine = measured(prob, label)
    found = sorted_metrics(fine.pooled(), 10)['ks']
    bound = bounds(scores, fine.number, 10)[1]
    assert exact['ks'] - found == pytest.approx(bound, rel=0.01)
    assert found < 0.001 < 0.24 < bound


@pytest.mark.parametrize('bins', [1, 7, 10, 15, 300])
@pytest.mark.parametrize('mode', ['top_label', 'positive'])
@pytest.mark.parametrize('seed', range(4))
def test_8_bit_values_are_exact(bins, mode, seed):
    prob, label = scene(seed, steps=255)
    _, exact, fine = measured(prob, label, bins, mode)
    found = sorted_metrics(fine.pooled(), bins)
    for key in SORTED:
        assert found[key] == pytest.approx(exact[key], abs=1e-9), key


def test_no_pixel_gives_nan():
    for images in ([], [pack(BinTable(*np.zeros((3, 260))))] * 2):
        fine = FineBins(images, 260)
        for table in (fine.pooled(), fine.pooled(np.ones((3, len(images))))):
            found = sorted_metrics(table, 10)
            assert all(np.isnan(value).all() for value in found.values())
            assert all(v.shape == table.total.shape for v in found.values())
