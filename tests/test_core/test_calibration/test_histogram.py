import doctest
import gc
import json
import runpy
import warnings
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmaslp.core import CalibrationHistogram
from mmaslp.core.calibration import BinTable, average_precision, median_gap, roc_auc
from mmaslp.core.calibration import histogram as histogram_module
from mmaslp.core.calibration.exact_scores import MOST
from mmaslp.core.calibration.inputs import CHUNK
from tests.properties import given, settings, st

# Not importable by name under pytest's importlib mode.
reference = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('reference.py')))

BINNED = ['ece', 'oe', 'ue', 'mce', 'ace', 'acc', 'conf', 'ece_debiased', 'median_gap']
MASS = ['ece_em', 'ece_sweep', 'sweep_bins', 'ks']
SCORES = ['nll', 'brier', *(f'brier_{k}' for k in ('reliability', 'resolution'))]
FIGURES = [*BINNED, *MASS, *SCORES, 'brier_uncertainty', 'count']
DELTA = 1 / (2 * CalibrationHistogram.LEVELS)


def filled(prob, label, **kwargs):
    histogram = CalibrationHistogram()
    histogram.update(prob, label, **kwargs)
    return histogram


def smooth(n=20000, seed=0, sharpness=2.0):
    """Float probabilities that are over-confident by a known factor."""
    generator = torch.Generator().manual_seed(seed)
    logit = torch.randn(n, generator=generator) * sharpness
    label = torch.rand(n, generator=generator) < torch.sigmoid(logit * 0.6)
    return torch.sigmoid(logit), label.long()


def eight_bit(n=20000, seed=0):
    prob, label = smooth(n, seed)
    return (prob * 255).round() / 255, label


def adversarial():
    """Edges, extremes, ties and their float32 neighbours."""
    k = torch.arange(11) / 10
    q = torch.tensor([0, 51, 102, 127, 128, 153, 204, 255]) / 255
    prob = torch.cat([k, q, k, q, 1 - k, torch.tensor([0.5, 0.5])])
    return prob, (torch.arange(len(prob)) % 3 == 0).long()


def same(one, two):
    one, two = one.state_dict(), two.state_dict()
    return all(
        torch.equal(one[k], two[k]) if torch.is_tensor(one[k]) else one[k] == two[k]
        for k in one
    )


@pytest.mark.parametrize('mode', ['top_label', 'positive'])
@pytest.mark.parametrize('bins', [1, 7, 10, 15, 20, 100])
@pytest.mark.parametrize('data', [eight_bit, adversarial])
def test_maps_of_8_bits_are_exact(data, bins, mode):
    prob, label = data()
    exact = (prob.double() * 2550).round() / 2550  # 255 and 10 divide it
    found = filled(prob, label).compute(bins, mode)
    for key, expected in reference.figures(exact, label, bins, mode).items():
        assert found[key] == pytest.approx(
            expected, abs=3e-7 if key == 'nll' else 1e-9
        ), key


@pytest.mark.parametrize('mode', ['top_label', 'positive'])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_floats_are_within_the_bound(dtype, mode):
    prob, label = smooth()
    found = filled(prob.to(dtype), label).compute(10, mode)
    for key, expected in reference.figures(prob, label, 10, mode).items():
        assert found[key] == pytest.approx(expected, abs=1e-5), key


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3000), st.sampled_from([1, 3, 8]))
def test_few_floats_are_sorted_as_they_are(seed, n, sharpness):
    prob, label = smooth(n, seed, sharpness)
    for mode in ('top_label', 'positive'):
        # float32 rounding onto a level is a tie by definition
        conf, right = reference.scores(prob, label, mode)
        level = np.rint(conf / (2 * DELTA)) * 2 * DELTA
        conf = np.where(abs(conf - level) < 2.5e-7, level, conf)
        found = filled(prob, label).compute(10, mode)
        masks = reference.bins_equal_mass(conf, 10)
        expected = reference.ece(conf, right, masks)
        assert found['ece_em'] == pytest.approx(expected, abs=1e-6)
        order = np.argsort(conf, kind='stable')
        running = np.cumsum(conf[order] - right[order])[
            np.append(np.diff(conf[order]) > 0, True)
        ]
        assert found['ks'] == pytest.approx(abs(running).max() / n, abs=1e-6)


def test_scores_are_kept_while_they_are_few():
    prob, label = smooth(MOST, sharpness=1)
    whole, parts = filled(prob, label), CalibrationHistogram()
    for p, y in zip(prob.split(99_991), label.split(99_991)):
        parts.merge(filled(p, y))
    assert len(whole.levels(exact=True).score) > len(whole.levels().score)
    assert same(whole, parts)
    prob[:] = 0.5  # the caller's own, later
    assert same(whole, parts)
    for each in (whole, parts):
        each.update([0.3], [0])
        assert each.few is None and each.state_dict()['few'] is None
        levels = each.levels(exact=True)
        assert np.array_equal(levels.score, each.levels().score)
    again = filled([0.3], [0])
    again.merge(whole)
    assert again.few is None
    again.reset()
    assert again.few.number == 0


def test_a_histogram_is_freed_at_once():
    histogram = filled(*smooth(300))
    histogram.compute()
    gone = weakref.ref(histogram)
    gc.disable()  # which would find a cycle
    try:
        del histogram
        assert gone() is None
    finally:
        gc.enable()


def test_parts_join_their_scores():
    images = [smooth(n, n) for n in (30, 0, 41)]
    whole = filled(*(torch.cat(v) for v in zip(*images)))
    joined = CalibrationHistogram()
    for image in images:
        joined.counts += filled(*image).counts
        joined.nll += filled(*image).nll
    joined.merge_few([filled(*image).few_codes for image in images])
    assert same(joined, whole)
    joined.merge_few([filled(*image).few_codes for image in images] + [None])
    assert joined.few is None


def test_a_state_of_an_earlier_version_has_no_scores():
    state = filled(*smooth(300)).state_dict()
    del state['few']
    again = CalibrationHistogram()
    again.load_state_dict(state)
    assert again.few is None and again.count == 300


@pytest.mark.parametrize('label', [0, 1])
@pytest.mark.parametrize('p', [1e-7, 3e-7, 1e-6, 1e-5, 1e-4, 0.3, 1 - 2**-20])
def test_nll_of_small_probabilities_keeps_its_digits(p, label):
    prob = torch.full((70000,), p)
    likelihood = prob[0].double() if label else 1 - prob[0].double()
    found = filled(prob, torch.full((70000,), label)).compute()['nll']
    assert found == pytest.approx(-likelihood.log().item(), abs=1.2e-7, rel=1e-6)


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
    expected = reference.figures(prob, label)
    for key in ('ece', 'mce', 'ace', 'conf'):
        assert abs(found[key] - expected[key]) <= DELTA + 1e-9, key
    for key in ('oe', 'ue', 'brier', 'brier_reliability'):
        assert abs(found[key] - expected[key]) <= 2 * DELTA + 1e-9, key
    assert found['acc'] == expected['acc']
    assert found['nll'] == pytest.approx(expected['nll'], abs=3e-7, rel=1e-6)


def test_cut_cells_move_at_most_their_share():
    # 1 / 7 lies inside of an open cell: pixels on both sides of it stay together.
    edge, bins = 4 / 7, 7
    prob = np.concatenate([np.full(50, edge - 1e-6), np.full(50, edge + 1e-6)])
    prob = np.concatenate([prob, np.linspace(0.6, 0.99, 900)])
    label = (np.arange(1000) % 2).astype(int)
    found = filled(prob, label).compute(bins)
    assert abs(found['ece'] - reference.figures(prob, label, bins)['ece']) <= (
        DELTA + 2 * 0.1
    )
    assert found['count'] == 1000


def test_one_open_cell_is_one_tie():
    # Scores closer than the resolution: the order among them is not seen.
    copies = MOST // 100 + 1
    prob = np.repeat(0.7 + np.linspace(1e-6, 6e-6, 100), copies)
    label = np.repeat(np.arange(100) >= 50, copies).astype(int)
    found = filled(prob, label).compute()
    assert found['ks'] == pytest.approx(0.2, abs=1e-5)
    # Wrong ones first: 0.7 / 2, so the order costs 0.15, below the share 1.
    assert reference.figures(prob, label)['ks'] == pytest.approx(0.35, abs=1e-5)
    # ... unless they are few.
    few = filled(prob[::copies], label[::copies]).compute()
    assert few['ks'] == pytest.approx(0.35, abs=1e-5)


def test_half_predicts_background():
    found = filled(torch.tensor([0.5, 0.5]), torch.tensor([0, 1])).compute()
    assert (found['acc'], found['conf'], found['ece']) == (0.5, 0.5, 0.0)
    # ... and it lies in the bin (0.4, 0.5], apart from what lies above.
    mixed = filled(torch.tensor([0.5, 0.55]), torch.tensor([0, 0]))
    assert mixed.compute()['ece'] == pytest.approx((0.5 + 0.55) / 2, abs=1e-6)


def test_the_least_above_half_predicts_foreground():
    for dtype in (torch.float32, torch.float64):
        above = torch.nextafter(
            torch.tensor(0.5, dtype=dtype), torch.ones((), dtype=dtype)
        )
        found = filled(above.repeat(2), torch.tensor([1, 1])).compute()
        assert found['acc'] == 1


@pytest.mark.parametrize('edge', [0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9])
def test_edges_belong_to_the_bin_below_for_every_type(edge):
    # 0.55 shares a bin with 0.6 or 0.4 (confidence 0.6), not with 0.7
    for dtype in (torch.float32, torch.float64):
        prob = torch.tensor([edge, edge], dtype=dtype)
        table = filled(prob, torch.tensor([0, 1])).levels()
        assert len(table.score) == 1
        assert table.score[0] * 10 % table.unit == 0


@pytest.mark.parametrize('bits', [8, 16])
def test_every_map_value_is_a_level(bits):
    values = np.arange(2**bits, dtype=np.float32) / np.float32(2**bits - 1)
    levels = filled(values, np.zeros(len(values), np.uint8)).levels('positive')
    expected = np.arange(2**bits) * (levels.unit // (2**bits - 1))
    assert np.array_equal(levels.score, expected)


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


@pytest.mark.parametrize('bins', [10, 15])
@pytest.mark.parametrize('data', [smooth, eight_bit])
def test_torchmetrics_positive_class(data, bins):
    other = pytest.importorskip('torchmetrics.classification')
    prob, label = data()
    # There the bins are [lo, hi) and 1.0 is one of its own: leave edges out.
    near = (prob * bins - (prob * bins).round()).abs() < 1e-4
    prob, label = prob[~near], label[~near]
    found = filled(prob, label).compute(bins, 'positive')
    for norm, key in (('l1', 'ece'), ('max', 'mce')):
        theirs = other.BinaryCalibrationError(n_bins=bins, norm=norm)(prob, label)
        assert found[key] == pytest.approx(theirs.item(), abs=1e-5)


def test_scikit_learn():
    sk = pytest.importorskip('sklearn.metrics')
    prob, label = eight_bit()
    histogram = filled(prob, label)
    found, levels = histogram.compute(), histogram.levels('positive')
    exact = prob.double().numpy()
    assert found['brier'] == pytest.approx(sk.brier_score_loss(label, exact), abs=1e-7)
    clamped = exact.clip(1e-7, 1 - 1e-7)
    assert found['nll'] == pytest.approx(sk.log_loss(label, clamped), abs=3e-7)
    assert roc_auc(levels) == pytest.approx(sk.roc_auc_score(label, exact), abs=1e-12)
    assert average_precision(levels) == pytest.approx(
        sk.average_precision_score(label, exact), abs=1e-12
    )


@pytest.mark.parametrize('n', [1, 2, 37, 300])
@pytest.mark.parametrize('kind', ['ties', 'floats', 'calibrated'])
def test_sweep_is_the_largest_monotone_partition(n, kind):
    rng = np.random.default_rng(n)
    prob = rng.random(n)
    if kind == 'ties':
        prob = np.rint(prob * 20) / 20
    label = (rng.random(n) < (prob if kind == 'calibrated' else 0.5)).astype(int)
    conf, right = reference.scores(prob, label)
    expected, bins = reference.sweep(np.round(conf, 9), right)
    found = filled(prob, label).compute()
    assert found['ece_sweep'] == pytest.approx(expected, abs=1e-5)
    assert found['sweep_bins'] == bins


def test_sweep_of_a_flawless_model_uses_every_level():
    prob = np.linspace(0.51, 1, 4000)
    found = filled(prob, np.ones(4000, int)).compute()
    assert found['sweep_bins'] > 3000
    assert found['ece_sweep'] == pytest.approx((1 - prob).mean(), abs=1e-5)


def test_debiased_takes_sampling_noise_away():
    # A calibrated model: the plain error is the noise of few pixels per bin.
    rng = np.random.default_rng(0)
    prob = np.repeat(np.linspace(0.525, 0.975, 10), 40)
    plain, corrected = [], []
    for _ in range(60):
        found = filled(prob, rng.random(400) < prob).compute(20)
        plain.append(found['brier_reliability'])
        corrected.append(found['ece_debiased'] ** 2)
    assert np.mean(corrected) < 0.6 * np.mean(plain)


def test_debiased_of_single_pixels_is_zero():
    prob = torch.tensor([0.55, 0.65, 0.75])
    assert filled(prob, torch.ones(3)).compute()['ece_debiased'] == 0


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
    assert same(forward, backward) and same(forward, whole)
    assert forward.compute() == pytest.approx(whole.compute(), nan_ok=True, abs=0)


def test_order_of_pixels_does_not_matter():
    prob, label = smooth(5000)
    order = torch.randperm(5000, generator=torch.Generator().manual_seed(1))
    assert same(filled(prob, label), filled(prob[order], label[order]))


def test_chunks_do_not_matter():
    prob, label = smooth(CHUNK * 2 + 17)
    parts = CalibrationHistogram()
    for p, y in zip(prob.split(999), label.split(999)):
        parts.update(p, y)
    assert same(filled(prob, label), parts)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 200), st.floats(0.01, 20))
def test_figures_stay_in_their_range(seed, n, sharpness):
    prob, label = smooth(n, seed, sharpness)
    for mode in ('top_label', 'positive'):
        histogram = filled(prob, label)
        found, ranked = histogram.compute(10, mode), histogram.levels(mode, exact=True)
        for key in FIGURES:
            if key in ('nll', 'count', 'sweep_bins', 'brier_resolution'):
                continue
            lowest = -1 if key == 'median_gap' else 0
            assert lowest - 1e-12 <= found[key] <= 1 + 1e-12, key
        assert found['ece'] <= found['mce'] + 1e-12
        assert found['oe'] + found['ue'] <= found['ece'] + 1e-12
        assert abs(found['conf'] - found['acc']) <= found['ece'] + 1e-12
        conf = ranked.conf_sum.sum() / ranked.unit / n  # of the scores, as ks
        assert found['ks'] >= abs(conf - found['acc']) - 1e-12
        assert abs(conf - found['conf']) <= DELTA + 1e-12
        parts = found['brier_reliability'] - found['brier_resolution']
        assert parts + found['brier_uncertainty'] == pytest.approx(found['brier'])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.floats(0, 1), st.floats(0, 1)),
        min_size=1,
        max_size=8,
    ),
    st.floats(-1, 1),
)
def test_no_shift_lowers_the_ece_more_than_that_by_the_median_gap(bins, shift):
    count, accuracy, conf = (np.array(v, float) for v in zip(*bins))
    table = BinTable(count, count * accuracy, count * conf)
    if not count.sum():
        assert np.isnan(median_gap(table))
        return
    gaps = np.repeat(conf - accuracy, count.astype(int))
    found = median_gap(table)
    assert found == pytest.approx(np.median(gaps), abs=1e-12)
    assert np.abs(gaps - found).mean() <= np.abs(gaps - shift).mean() + 1e-12


def test_compute_returns_python_floats_of_every_key():
    found = filled(*smooth(100)).compute()
    assert list(found) and set(found) == set(FIGURES)
    assert all(type(value) is float for value in found.values())


def test_empty_histogram_is_nan_and_count_0():
    for mode in ('top_label', 'positive'):
        found = CalibrationHistogram().compute(mode=mode)
        assert set(found) == set(FIGURES)
        assert found.pop('count') == 0
        assert all(np.isnan(value) for value in found.values())
    ignored = filled(torch.rand(5), torch.full((5,), 255))
    assert ignored.compute()['count'] == 0


def test_one_class_only():
    prob = torch.tensor([0.1, 0.2, 0.7])
    histogram = filled(prob, torch.zeros(3))
    found = histogram.compute(mode='positive')
    assert found['ece'] == pytest.approx(1 / 3, abs=1e-5)
    assert found['acc'] == 0
    assert np.isnan(average_precision(histogram.levels('positive')))
    assert np.isnan(roc_auc(histogram.levels('positive')))


def test_extremes_do_not_give_infinity():
    found = filled(torch.tensor([0.0, 1.0, 1.0]), torch.tensor([1, 0, 1])).compute()
    assert found['nll'] == pytest.approx(-2 / 3 * np.log(1e-7), rel=1e-6)
    assert found['ece'] == pytest.approx(2 / 3)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_cast_up(dtype):
    prob, label = smooth(2000)
    assert same(filled(prob.to(dtype), label), filled(prob.to(dtype).float(), label))


@pytest.mark.parametrize('dtype', [torch.uint8, torch.int32, torch.bool, torch.float32])
def test_label_types(dtype):
    prob, label = smooth(500)
    assert same(filled(prob, label.to(dtype)), filled(prob, label))


def test_ignored_pixels_count_nowhere():
    prob, label = smooth(1000)
    marked, broken = label.clone(), prob.clone()
    marked[::3] = 255
    broken[::3] = float('nan')  # padding may hold anything
    keep = torch.arange(1000) % 3 != 0
    assert same(filled(broken, marked), filled(prob[keep], label[keep]))
    assert same(
        filled(prob, torch.where(keep, label, -1), ignore_index=-1),
        filled(prob[keep], label[keep]),
    )
    zeros = filled(prob, label, ignore_index=0)
    assert zeros.count == int(label.sum())


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64, torch.int64])
def test_inputs_are_left_alone(dtype):
    prob, label = smooth(500)
    prob, label = prob.to(dtype if dtype.is_floating_point else prob.dtype), label
    before = prob.clone(), label.to(dtype)
    filled(prob, before[1])
    assert torch.equal(prob, before[0]) and torch.equal(before[1], label.to(dtype))


def test_arrays_and_shapes():
    prob, label = smooth(600)
    expected = filled(prob, label)
    assert same(filled(prob.numpy(), label.numpy()), expected)
    shape = (2, 1, 20, 15)
    assert same(filled(prob.view(shape), label.view(shape)), expected)
    strided = prob.view(20, 30).t()
    assert same(filled(strided, label.view(20, 30).t()), expected)


def test_arrays_of_every_layout():
    prob, label = smooth(600)
    expected, array = filled(prob, label), prob.numpy()
    assert same(filled(array[::-1], label.numpy()[::-1]), expected)
    assert same(filled(array.astype('>f4'), label.numpy().astype('>i2')), expected)
    for dtype in (np.uint16, np.uint32, np.uint64):
        assert same(filled(array, label.numpy().astype(dtype)), expected)
    frozen = array.copy()
    frozen.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert same(filled(frozen, label), expected)


def test_rounding_beyond_the_ends_is_clamped():
    prob = torch.tensor([1 + 2e-7, -1e-9])
    assert same(filled(prob, torch.tensor([1, 0])), filled(prob.clamp(0, 1), [1, 0]))


@pytest.mark.parametrize(
    'prob, label, words',
    [
        ([0.5, 1.5], [0, 1], 'must lie in .0, 1.*sigmoid'),
        ([-0.1, 0.5], [0, 1], 'must lie in .0, 1.'),
        ([float('nan'), 0.5], [0, 1], '1 NaN'),
        ([float('inf'), 0.5], [0, 1], 'must lie in'),
        ([0, 1], [0, 1], 'floating point.*divide'),
        ([0.5, 0.5], [0], 'shape'),
        ([[0.5, 0.5]], [0, 1], 'shape'),
        ([0.5, 0.5], [0, 2], 'label.*holds 2'),
        ([0.5, 0.5], [-1, 1], 'label.*holds -1'),
        ([0.5, 0.5], [0, 254], 'holds 254.*255'),
        ([0.5, 0.5], [0.3, 1.0], 'holds 0.3'),
        ([0.5, 0.5], [float('nan'), 1.0], 'holds nan'),
    ],
)
def test_bad_input_says_what_and_counts_nothing(prob, label, words):
    histogram = CalibrationHistogram()
    with pytest.raises(ValueError, match=f'(?s){words}'):
        histogram.update(torch.tensor(prob), torch.tensor(label))
    assert histogram.count == 0 and int(histogram.nll) == 0


@pytest.mark.parametrize('bins', [0, -1, 2.5, True, None])
def test_bad_bins(bins):
    with pytest.raises(ValueError, match='bins must be an integer'):
        CalibrationHistogram().compute(bins)


def test_bad_mode():
    with pytest.raises(ValueError, match="'top_label' or 'positive'"):
        CalibrationHistogram().compute(mode='both')


def test_more_classes_count_the_top_label():
    generator = torch.Generator().manual_seed(0)
    prob = torch.softmax(torch.randn(4, 30, 20, generator=generator), 0)
    label = torch.randint(0, 4, (30, 20), generator=generator)
    label[0, :5] = 255
    histogram = CalibrationHistogram(num_classes=4)
    histogram.update(prob, label)
    keep = label != 255
    top, predicted = prob[:, keep].max(0)
    right = predicted == label[keep]
    found = histogram.compute()
    masks = reference.bins_equal_width(top.double().numpy(), 10)
    expected = reference.ece(top.double().numpy(), right.double().numpy(), masks)
    assert found['ece'] == pytest.approx(expected, abs=1e-5)
    assert found['acc'] == pytest.approx(right.double().mean().item())
    true = prob[:, keep].gather(0, label[keep][None])
    assert found['nll'] == pytest.approx(-true.log().mean().item(), abs=1e-6)
    with pytest.raises(ValueError, match='needs two classes'):
        histogram.compute(mode='positive')
    with pytest.raises(ValueError, match='2 classes into one of 4'):
        histogram.merge(CalibrationHistogram())
    with pytest.raises(ValueError, match='add up to 1'):
        histogram.update(prob * 0.5, label)
    with pytest.raises(ValueError, match='need'):
        histogram.update(prob[:3], label)


def test_two_classes_at_least():
    with pytest.raises(ValueError, match='at least 2'):
        CalibrationHistogram(num_classes=1)


def test_state_dict_goes_around(tmp_path):
    histogram = filled(*smooth(3000))
    torch.save(histogram.state_dict(), tmp_path / 'state.pth')
    again = CalibrationHistogram()
    again.load_state_dict(torch.load(tmp_path / 'state.pth', weights_only=True))
    assert same(histogram, again)
    again.update(*smooth(10))
    assert not same(histogram, again)


@pytest.mark.parametrize(
    'change, words',
    [
        ({'levels': 255}, 'levels'),
        ({'num_classes': 3}, 'num_classes'),
        ({'cells': torch.tensor([10**7])}, 'broken'),
        ({'counts': torch.tensor([[-1, 0]])}, 'broken'),
        ({'few': torch.tensor([1, 2])}, 'broken: few'),
        ({'nll': None}, 'lacks'),
    ],
)
def test_broken_state_is_refused(change, words):
    state = filled([0.3], [0]).state_dict() | change
    if change == {'nll': None}:
        del state['nll']
    with pytest.raises(ValueError, match=words):
        CalibrationHistogram().load_state_dict(state)


def test_example_of_the_docstring():
    assert doctest.testmod(histogram_module).attempted == 4
    assert doctest.testmod(histogram_module).failed == 0
