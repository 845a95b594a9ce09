import json

import numpy as np
import pytest
import torch

from mmaslp.metrics import CalibrationHistogram
from mmaslp.metrics.histogram import STEPS
from tests.properties import given, settings, st
from tests.test_metrics import reference
from tests.test_metrics.pixels import eight_bit, filled, same, smooth

BINNED = ['ece', 'oe', 'ue', 'mce', 'ace', 'acc', 'conf', 'ece_debiased']
MASS = ['ece_em', 'ece_sweep', 'sweep_bins', 'ks']
SCORES = ['nll', 'brier', *(f'brier_{k}' for k in ('reliability', 'resolution'))]
KEYS = [*BINNED, *MASS, *SCORES, 'brier_uncertainty', 'count']
DELTA = 1 / (2 * STEPS)


def adversarial():
    """Edges, extremes, ties and their float32 neighbours."""
    k = torch.arange(11) / 10
    q = torch.tensor([0, 51, 102, 127, 128, 153, 204, 255]) / 255
    prob = torch.cat([k, q, k, q, 1 - k, torch.tensor([0.5, 0.5])])
    return prob, (torch.arange(len(prob)) % 3 == 0).long()


@pytest.mark.parametrize('mode', ['top_label', 'positive'])
@pytest.mark.parametrize('bins', [1, 10, 15, 100])
@pytest.mark.parametrize('data', [eight_bit, adversarial])
def test_maps_of_8_bits_are_exact(data, bins, mode):
    prob, label = data()
    exact = (prob.double() * 2550).round() / 2550  # 255 and 10 divide it
    found = filled(prob, label).compute(bins, mode)
    for key, expected in reference.metrics(exact, label, bins, mode).items():
        assert found[key] == pytest.approx(
            expected, abs=3e-7 if key == 'nll' else 1e-9
        ), key


@pytest.mark.parametrize('mode', ['top_label', 'positive'])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_floats_are_within_the_bound(dtype, mode):
    prob, label = smooth()
    found = filled(prob.to(dtype), label).compute(10, mode)
    for key, expected in reference.metrics(prob, label, 10, mode).items():
        assert found[key] == pytest.approx(expected, abs=1e-5), key


def large(kind, n, seed=0):
    """Maps of n pixels; a score that float32 cannot tell from an edge is on it."""
    rng = np.random.default_rng(seed)
    if kind == 'uniform':
        prob = rng.random(n)
        label = rng.random(n) < prob**1.5
    else:  # a confident network, over-confident but for 'calibrated'
        logit = 8 * rng.standard_normal(n)
        gain = 1.0 if kind == 'calibrated' else 0.6
        label = rng.random(n) < 1 / (1 + np.exp(-gain * logit))
        prob = 1 / (1 + np.exp(-logit))
    bits = {'8 bit': 255, '16 bit': 65535}.get(kind)
    if bits:
        return np.rint(prob * bits) / bits, label.astype(int)
    near = np.abs(prob * 10 - np.rint(prob * 10)) < 1e-5
    inside = (prob > 0.05) & (prob < 0.95)
    prob = np.where(near & inside, np.rint(prob * 10) / 10, prob)
    return prob.astype(np.float32), label.astype(int)


@pytest.mark.parametrize(
    ('kind', 'mode'),
    [
        ('uniform', 'top_label'),
        ('confident', 'positive'),
        ('calibrated', 'top_label'),
        ('8 bit', 'positive'),
        ('16 bit', 'top_label'),
    ],
)
def test_every_metric_from_100000_pixels_on(kind, mode):
    prob, label = large(kind, 100_000)
    found = filled(prob, label).compute(10, mode)
    for key, expected in reference.metrics(prob, label, 10, mode).items():
        # One pixel weighs 1e-5; where gaps have both signs it counts twice.
        loose = key == 'ece_em' and kind in ('uniform', 'calibrated')
        assert found[key] == pytest.approx(expected, abs=3e-5 if loose else 1e-5), key


@pytest.mark.parametrize(
    ('kind', 'mode', 'bound'),
    [
        pytest.param('uniform', 'positive', 1e-5, marks=pytest.mark.release),
        ('confident', 'positive', 1e-3),  # many share the cells next to 0 and 1
        ('8 bit', 'top_label', 1e-9),
        pytest.param('16 bit', 'positive', 1e-9, marks=pytest.mark.release),
    ],
)
def test_sweep_of_100000_pixels(kind, mode, bound):
    prob, label = large(kind, 100_000)
    table = filled(prob, label).pixels().score_table(mode)
    found = filled(prob, label).compute(10, mode)
    expected, _ = reference.sweep(*reference.scores(prob, label, mode))
    assert found['ece_sweep'] == pytest.approx(expected, abs=bound)
    # It is the sweep of the middles of the cells, whatever the scores.
    conf, correct = np.repeat(table.conf, table.count), []
    for count, hits in zip(table.count, table.correct):
        correct += [1.0] * hits + [0.0] * (count - hits)
    expected, bins = reference.sweep(conf, np.array(correct))
    assert found['ece_sweep'] == pytest.approx(expected, abs=1e-9)
    assert found['sweep_bins'] == bins


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([1, 10, 1000, 20_000]),
    st.sampled_from([0.001, 1, 3, 8, 20]),
    st.sampled_from(['top_label', 'positive']),
)
def test_sorted_metrics_keep_their_bounds_for_any_number(seed, n, sharpness, mode):
    # 0.001: all scores in some hundred cells around 0.5.
    prob, label = smooth(n, seed, sharpness)
    prob = prob.double()
    found = filled(prob, label).compute(10, mode)
    conf, correct = reference.scores(prob, label, mode)
    x, tolerance = conf * STEPS, 1 / 32
    on_point = np.abs(x - np.rint(x)) <= tolerance
    cell = np.where(on_point, 2 * np.rint(x), 2 * np.floor(x) + 1)
    reach = np.where(on_point, tolerance, 0.5) / STEPS
    mass, ks = reference.tie_bounds(conf, correct, cell, cell * DELTA, reach, 10)
    expected = reference.metrics(prob, label, 10, mode)
    assert abs(found['ece_em'] - expected['ece_em']) <= DELTA + mass + 1e-9
    assert -DELTA - 1e-9 <= expected['ks'] - found['ks'] <= DELTA + ks + 1e-9
    apart = abs(expected['conf'] - expected['acc'])
    singles = np.abs(conf - correct).mean()
    assert apart - DELTA - 1e-9 <= found['ece_sweep'] <= singles + DELTA + 1e-9


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=60
    )
)
def test_bound_holds_on_any_input(pixels):
    prob, label = (np.array(v) for v in zip(*pixels))
    # Values that float32 cannot tell from an edge belong to it by definition.
    near = np.abs(prob * 10 - np.rint(prob * 10)) < 1e-5
    prob = np.where(near, np.rint(prob * 10) / 10, prob)
    found = filled(prob, label).compute()
    expected = reference.metrics(prob, label)
    for key in ('ece', 'mce', 'ace', 'conf'):
        assert abs(found[key] - expected[key]) <= DELTA + 1e-9, key
    for key in ('oe', 'ue', 'brier', 'brier_reliability'):
        assert abs(found[key] - expected[key]) <= 2 * DELTA + 1e-9, key
    assert found['acc'] == expected['acc']
    assert found['nll'] == pytest.approx(expected['nll'], abs=3e-7, rel=1e-6)


def test_half_predicts_background():
    found = filled(torch.tensor([0.5, 0.5]), torch.tensor([0, 1])).compute()
    assert (found['acc'], found['conf'], found['ece']) == (0.5, 0.5, 0.0)
    # ... and it lies in the bin (0.4, 0.5], apart from what lies above.
    mixed = filled(torch.tensor([0.5, 0.55]), torch.tensor([0, 0]))
    assert mixed.compute()['ece'] == pytest.approx((0.5 + 0.55) / 2, abs=1e-6)


@pytest.mark.parametrize('name', ['sharp', 'soft', 'hard'])
def test_golden_maps(shared, name):
    pillow = pytest.importorskip('PIL.Image')
    golden = shared / 'golden' / 'maps'
    if not golden.is_dir():
        pytest.skip(f'needs {golden}')
    histogram = CalibrationHistogram()
    for path in sorted((golden / name / 'pred').iterdir()):
        prob = np.asarray(pillow.open(path)).astype(np.float32) / 255
        mask = np.asarray(pillow.open(golden / name / 'gt' / path.name)) > 127
        histogram.update(prob, mask)
    line = json.loads((golden / 'released.json').read_text())[name]['ECE_EW@10']
    printed = {k: float(v) for k, v in (x.split(': ') for x in line.split(', ')[2:])}
    found = histogram.compute()
    for key, theirs in (('ece', 'ECE'), ('oe', 'OE'), ('acc', 'ACC')):
        assert found[key] == pytest.approx(printed[theirs], abs=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_merge_is_exact_in_any_order(data):
    images = []
    for seed in range(data.draw(st.integers(2, 5))):
        prob, label = smooth(data.draw(st.integers(0, 300)), seed)
        images.append((prob, label))
    whole = filled(*(torch.cat(v) for v in zip(*images)))
    parts = [filled(*image) for image in images]
    order = data.draw(st.permutations(range(len(parts))))
    forward = CalibrationHistogram()
    for i in order:
        forward.merge(parts[i])
    # the last two first: (a + b) + c = a + (b + c)
    tail = CalibrationHistogram()
    tail.merge(parts[order[-2]])
    tail.merge(parts[order[-1]])
    backward = CalibrationHistogram()
    for i in order[:-2]:
        backward.merge(parts[i])
    backward.merge(tail)
    assert same(forward, backward)
    assert same(forward, whole)
    assert forward.compute() == pytest.approx(whole.compute(), nan_ok=True, abs=0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 200), st.floats(0.01, 20))
def test_metrics_stay_in_their_range(seed, n, sharpness):
    prob, label = smooth(n, seed, sharpness)
    for mode in ('top_label', 'positive'):
        histogram = filled(prob, label)
        found = histogram.compute(10, mode)
        for key in KEYS:
            if key in ('nll', 'count', 'sweep_bins', 'brier_resolution'):
                continue
            assert -1e-12 <= found[key] <= 1 + 1e-12, key
        assert found['ece'] <= found['mce'] + 1e-12
        assert found['oe'] + found['ue'] <= found['ece'] + 1e-12
        assert abs(found['conf'] - found['acc']) <= found['ece'] + 1e-12
        assert found['ks'] >= abs(found['conf'] - found['acc']) - 1e-12
        parts = found['brier_reliability'] - found['brier_resolution']
        assert parts + found['brier_uncertainty'] == pytest.approx(found['brier'])


def test_a_state_goes_around():
    histogram = CalibrationHistogram()
    histogram.update(torch.tensor([0.9, 0.8, 0.3]), torch.tensor([1, 0, 0]))
    other = CalibrationHistogram()
    other.load_state_dict(histogram.state_dict())
    assert other.compute() == histogram.compute()

    twice = {**histogram.state_dict(), 'cells': torch.tensor([5, 5, 7])}
    with pytest.raises(ValueError, match='steps of cells must be'):
        other.load_state_dict(twice)
    broken = {**histogram.state_dict(), 'counts': torch.tensor([[-1, 0]] * 3)}
    with pytest.raises(ValueError, match='counts must be'):
        other.load_state_dict(broken)
    with pytest.raises(ValueError, match='num_classes must be'):
        CalibrationHistogram(3).load_state_dict(histogram.state_dict())
