"""Fitting: maps, candidates, the rule and bad input."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm

from mmaslp.calibration import (
    CalibrationTables,
    Calibrator,
    fit_calibrator,
    fit_tables,
)
from mmaslp.calibration.curves import CENTRES, LIMIT, SIDE
from mmaslp.calibration.fitting.fit import choose
from mmaslp.calibration.fitting.methods import (
    METRICS,
    OutOfFold,
    fit_curves,
    gains,
    isotonic,
    measure_groups,
    platt,
    temperature,
)
from tests.test_calibration.object_scenes import discs
from tests.test_calibration.samples import maps


def counts_of(slope, shift, z=CENTRES[SIDE + 1 :]):
    right = 1 / (1 + np.exp(-slope * z - shift))
    return z, np.stack([1 - right, right], 1) * 1e4


def test_parametric_maps_recover_themselves():
    _, level = temperature(*counts_of(0.5, 0))
    assert level[-1] == pytest.approx(0.5 * CENTRES[-1], rel=1e-3)
    knots, level = platt(*counts_of(0.4, 1.5))
    assert level == pytest.approx(0.4 * knots + 1.5, rel=1e-3)


def test_isotonic_interpolates_between_blocks():
    z = np.array([0.5, 1.0, 2.0, 4.0])
    counts = np.array([[50, 50], [20, 80], [30, 70], [0, 0]], float)
    knots, level = isotonic(z, counts)
    # 80 and 70 of 100 pool to 75 %, at the mean of 1 and 2.
    assert np.interp(1.5, knots, level) == pytest.approx(np.log(3), abs=0.01)
    assert np.interp(1.0, knots, level) == pytest.approx(np.log(3) / 2, abs=0.01)
    assert (np.diff(level) > 0).all()


def test_an_empty_band_takes_the_single_map():
    counts = np.zeros((5, len(CENTRES), 2))
    counts[0] = np.stack([0.7 + 0 * CENTRES, 1 + 0 * CENTRES], 1)
    (single,) = fit_curves(counts, 10, 'temperature', 'single', 'confidence')
    bands = fit_curves(counts, 10, 'temperature', 'band', 'confidence')
    for _, level in bands:
        assert level == pytest.approx(single[1], rel=1e-4)


def test_overconfident_maps_are_mended_and_masks_stay():
    calibrator = fit_calibrator(*maps(60))
    assert calibrator.method != 'identity'
    prob, label = maps(60, seed=1)
    found = calibrator(prob)
    assert np.array_equal(found > 0.5, prob > 0.5)
    assert (
        abs(np.maximum(found, 1 - found).mean() - ((prob > 0.5) == label).mean()) < 0.01
    )
    assert ((found - label) ** 2).mean() < ((prob - label) ** 2).mean()


def test_few_images_change_little():
    """'auto' is drawn towards none; a named method is not."""
    prob, label = maps(10)
    calibrator = fit_calibrator(prob, label)
    named = fit_calibrator(prob, label, by=calibrator.by, method=calibrator.method)
    assert calibrator.method != 'identity'
    between = np.sort([np.full(100, 0.9), named(np.full((10, 10), 0.9)).ravel()], 0)
    found = calibrator(np.full((10, 10), 0.9)).ravel()
    assert ((between[0] < found) & (found < between[1])).all()


def test_calibrated_maps_stay_as_they_are():
    prob, label = maps(30, sharp=1.0)
    calibrator = fit_calibrator(prob, label)
    assert calibrator.method == 'identity'
    assert '30 images do not show' in calibrator.summary()
    assert np.array_equal(calibrator(prob), prob)


def test_inputs_agree():
    prob, label = maps(20)
    first = fit_calibrator(prob, label)
    tensors = torch.from_numpy(prob)[:, None], torch.from_numpy(label)
    others = [
        fit_calibrator(*tensors),
        fit_calibrator(zip(prob, label)),
        fit_calibrator(list(prob), list(label)),
        fit_calibrator(prob, label, groups=[f'patient {k}' for k in range(20)]),
    ]
    for other in others:
        assert other.record == first.record
    logits = fit_calibrator(torch.logit(tensors[0].double()), label, logits=True)
    assert logits.method == first.method


def test_images_of_several_sizes_in_an_array_are_a_list():
    prob, label = maps(8)
    several = [np.empty(8, object) for _ in range(2)]
    for image in range(8):
        several[0][image] = prob[image, image:]
        several[1][image] = label[image, image:]
    found = fit_calibrator(*several, method='platt')
    assert found == fit_calibrator(*map(list, several), method='platt')


@pytest.mark.parametrize('shape', [(10, 2, 32, 32), (5, 1, 4, 32, 32)])
def test_batches_are_read_as_one_array(shape):
    """Several channels are none of the slices of a volume."""
    prob, label = (values[:, :32, :32].reshape(shape) for values in maps(20))
    whole = fit_calibrator(prob, label, method='platt')
    batches = zip(np.split(prob, 5), np.split(label, 5))
    assert fit_calibrator(batches, method='platt') == whole


def test_a_loader_in_a_progress_bar_gives_batches():
    prob, label = map(torch.from_numpy, maps(8))
    loader = DataLoader(TensorDataset(prob, label), 3)
    found = fit_calibrator(tqdm(loader, disable=True), method='platt')
    assert found == fit_calibrator(prob, label, method='platt')


class Endless:
    """A dataset as those of torch may be: it has a length, and no last item."""

    def __init__(self, prob, label):
        self.pairs = list(zip(prob, label))

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, number):
        assert number < len(self)
        return self.pairs[number]


def test_a_dataset_ends_by_its_length():
    prob, label = maps(8)
    found = fit_calibrator(Endless(prob, label), method='platt')
    assert found == fit_calibrator(prob, label, method='platt')


def test_groups_stay_together():
    prob, label = maps(20)
    calibrator = fit_calibrator(prob, label, groups=np.arange(20) // 4)
    assert calibrator.record['groups'] == 5
    assert 'groups' in calibrator.summary()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda p, y: (p[:4], y[:4]), 'a fit to 4 images cannot'),
        (lambda p, y: (p, y * 0), 'all .* background.*255'),
        (lambda p, y: (p, y * 255), 'all .* background.*255'),
        (lambda p, y: (p * 9 - 3, y), 'image 0: .*logits'),
        (
            lambda p, y: (np.where(np.arange(20) == 7, np.nan, p.T).T, y),
            'image 7: .*NaN',
        ),
        (lambda p, y: (p, y[:, 1:]), 'image 0: .*shape'),
        (lambda p, y: (np.stack([1 - p, p], 1), y), 'softmax.*foreground alone'),
        (lambda p, y: (p, y * 0.5), 'softened'),
        (lambda p, y: (p, y[1:]), 'as many labels'),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(ValueError, match=message):
        fit_calibrator(*change(*maps(20)))


def test_masks_upside_down_are_noticed():
    prob, label = maps(20)
    assert 'no more than without' not in fit_calibrator(prob, label).summary()
    with pytest.warns(UserWarning, match=r'belong together .* softmax \[:, 1\]'):
        assert 'no more than without' in fit_calibrator(prob, 1 - label).summary()
    twice = 1 / (1 + np.exp(-prob))
    assert 'maps have one sigmoid' in fit_calibrator(twice, label).summary()


def test_a_network_that_is_worse_than_none_is_not_called_upside_down(recwarn):
    label = np.zeros((10, 16, 16))
    label[:, :2, :2] = 1
    prob = np.full(label.shape, 0.1)
    prob[:, :10, :10] = np.random.default_rng(0).uniform(0.6, 0.9, (10, 10, 10))
    assert 'no more than without' in fit_calibrator(prob, label).summary()
    assert not recwarn.list


def test_masks_that_do_not_belong_to_the_maps_are_noticed(recwarn):
    prob, label = map(np.stack, zip(*(discs(k) for k in range(20))))
    fit_calibrator(prob, label)
    assert not recwarn.list
    nothing = np.minimum(prob, 0.4)
    everything = 1 / (1 + np.exp(-prob))
    chance = np.random.default_rng(1).random(prob.shape)
    for others in (np.roll(prob, 12, -1), everything, chance):
        with pytest.warns(UserWarning, match='hardly more frequent .* belong together'):
            fit_calibrator(others, label)
    with pytest.warns(UserWarning, match='no probability is above 1/2'):
        fit_calibrator(nothing, label)


def png_images(folder):
    for file in sorted((folder / 'maps').iterdir()):
        mask = np.asarray(Image.open(folder / 'masks' / file.name).convert('L')) > 127
        yield np.asarray(Image.open(file)) / np.float32(65535), mask


def test_a_published_network(shared):
    """Goals by target: ECE by band, ECE, NLL, Brier score."""
    goals = dict(
        confidence=dict(ece_band=0.0028, ece=0.0040, nll=0.0610, brier=0.0158),
        probability=dict(nll=0.0590, brier=0.0154),
    )
    folder = shared / 'data' / 'product_maps' / 'mediapipe_selfie_on_ccp_person'
    tables = CalibrationTables()
    for image in png_images(folder / 'val'):
        tables.update(*image)
    test = list(png_images(folder / 'test'))
    for target, most in goals.items():
        calibrator = fit_tables(tables, target=target)
        assert (calibrator.method, calibrator.by) == ('isotonic', 'band')
        measured = CalibrationTables()
        for prob, mask in test:
            found = calibrator(prob)
            moved = ((found > 0.5) != (prob > 0.5)).any()
            assert target == 'probability' or not moved
            measured.update(found, mask)
        counts = measured.counts.numpy()
        logit = np.broadcast_to(CENTRES, counts.shape[:-1])
        found = measure_groups(counts, logit)
        figures = dict(zip(METRICS, found.metrics))
        assert all(figures[key] <= value for key, value in most.items()), figures


def test_a_network_that_has_learnt_nothing():
    label = torch.zeros(100, 32, 32)
    label[:, 8:24, 8:24] = 1  # a quarter
    calibrator = fit_calibrator(
        torch.full((100, 32, 32), 0.4), label, target='probability'
    )
    found = calibrator(torch.full((32, 32), 0.4))
    assert float(found[0, 0]) == pytest.approx(0.25, abs=0.01)


def test_a_gain_above_its_error_is_taken_where_the_lowest_nll_has_none():
    def candidate(nll, spread, brier=0.1):
        metrics = np.array([0.3 + nll, brier, 0.1, 0.1])
        noise = np.zeros((20, 4))
        noise[:, 0] = np.resize([spread, -spread], 20)  # a standard error of 4.4 of it
        return OutOfFold(metrics, metrics + noise)

    identity = {('identity', 'single'): candidate(0, 0)}
    better = {('temperature', 'single'): candidate(-0.001, 1e-5)}
    best = {('isotonic', 'band'): candidate(-0.015, 0.004)}
    chosen, reason = choose(identity | better | best, 'auto', '20 images', 20)
    assert chosen == ('temperature', 'single')
    assert 'more than a standard error' in reason
    chosen, reason = choose(identity | best, 'auto', '20 images', 20)
    assert chosen == ('identity', 'single')
    assert 'Fit to more images' in reason
    worse = {('platt', 'single'): candidate(-0.01, 1e-5, brier=0.11)}
    chosen, _ = choose(identity | worse, 'auto', '20 images', 20)
    assert chosen == ('identity', 'single')


@pytest.mark.parametrize('metric', range(4))
def test_no_metric_may_become_worse(metric):
    rng = np.random.default_rng(0)
    metrics = np.full(4, 0.1)
    identity = OutOfFold(metrics, np.tile(metrics, (15, 1)))
    change = np.full(4, -0.01)
    change[metric] = 0.001
    noise = 1e-4 * rng.normal(size=(15, 4))
    noise -= noise.mean(0)
    other = OutOfFold(metrics + change, metrics + change + noise)
    assert not gains(other, identity)
    change[metric] = 0
    other = OutOfFold(metrics + change, metrics + change + noise)
    assert gains(other, identity)


def test_knots_of_one_place_are_merged():
    """Rounding puts the centre of a block next to the end, or to another one."""
    z = np.array([0.5, 1.0, LIMIT - 3.6e-15])
    knots, levels = isotonic(z, np.array([[5, 5], [2, 8], [1, 9]], float))
    assert (np.diff(knots) > 1e-9).all()
    assert (np.diff(levels) > 0).all()
    Calibrator('isotonic', 'single', 'confidence', [(knots, levels)])


def test_volumes_and_slices_of_patients_meet_one_rule():
    rng = np.random.default_rng(0)
    truth = rng.random((6, 8, 24, 24))
    labels = (rng.random(truth.shape) < truth).astype(np.uint8)
    odds = (truth / (1 - truth)) ** 2
    prob = odds / (1 + odds)
    volumes = fit_calibrator(list(prob), list(labels))
    slices = fit_calibrator(
        prob.reshape(48, 24, 24),
        labels.reshape(48, 24, 24),
        groups=np.arange(48) // 8,
    )
    np.testing.assert_array_equal(volumes.table, slices.table)
    assert volumes.record['candidates'] == slices.record['candidates']
    hit = (prob > 0.5) & (labels == 1)
    dice = 2 * hit.sum((1, 2, 3)) / ((prob > 0.5) + labels).sum((1, 2, 3))
    masks = volumes.decisions.record['masks']
    assert masks['keep'] == pytest.approx(dice.mean())
    assert masks['dice'] > masks['keep']
    for calibrator, text in (
        (volumes, '6 volumes,'),
        (slices, '48 images of 6 groups'),
    ):
        assert text in calibrator.summary()
        assert '6 images or groups are few' in calibrator.summary()


@pytest.mark.parametrize('batched', [False, True])
def test_two_channels_of_logits_are_taken_as_wrap_takes_them(batched):
    prob, label = maps(20)
    logit = torch.logit(torch.from_numpy(prob))
    both = torch.stack([-logit / 2, logit / 2], 1)
    one = fit_calibrator(logit, label, logits=True)
    pairs = zip(both.split(4), torch.from_numpy(label).split(4))
    two = fit_calibrator(pairs, logits=True)
    if not batched:
        two = fit_calibrator(both, label, logits=True)
    assert two.record == one.record
    assert asdict(two.decisions) == asdict(one.decisions)


@pytest.mark.parametrize(
    ('given', 'groups', 'words'),
    [
        ('val_maps', None, 'give folders to `mmaslp fit`'),
        (['a.npy', 'b.npy'], None, "not 'a.npy'"),
        ([Path('a.npy')], None, 'give folders to `mmaslp fit`'),
        (maps(6)[0], ['p1'] * 3 + [None] * 3, 'one is None'),
    ],
)
def test_paths_and_missing_groups_are_refused(given, groups, words):
    label = given if isinstance(given, str | list) else maps(6)[1]
    with pytest.raises(ValueError, match=words):
        fit_calibrator(given, label, groups=groups)


def test_platt_of_maps_with_two_values_is_the_share_of_right_pixels():
    """The line of the lowest NLL falls; the map is flat instead."""
    right = np.random.default_rng(0).random((20, 32, 32)) < 0.9
    label = np.arange(32) % 2 * np.ones_like(right)
    prob = np.where(right == (label == 1), 0.99, 0.01)
    calibrator = fit_calibrator(prob, label, method='platt', by='single')
    found = calibrator(np.array([[0.01, 0.99]]))
    np.testing.assert_allclose(found, [[0.1, 0.9]], atol=0.01)


def test_platt_of_a_constant_map_is_the_share_of_foreground():
    prob = np.full((20, 32, 32), 0.2)
    label = np.random.default_rng(0).random(prob.shape) < 0.1
    calibrator = fit_calibrator(prob, label, method='platt', target='probability')
    assert calibrator(prob[0]).mean() == pytest.approx(label.mean(), abs=0.005)


def test_a_temperature_of_few_cases_with_few_wrong_pixels():
    """Of volumes hardly a pixel is wrong: the doubt must not outweigh those."""
    rng = np.random.default_rng(0)
    probs, labels = [], []
    for _ in range(10):
        logit = np.full((64, 64), -9.0)
        logit[20:40, 20:40] = rng.normal(0, 3, (20, 20))
        probs.append(1 / (1 + np.exp(-1.5 * logit)))  # 1.5 times too sure
        labels.append(rng.random(logit.shape) < 1 / (1 + np.exp(-logit)))
    found = fit_calibrator(probs, labels, method='temperature', by='single')
    (knots, levels), *_ = found.curves
    assert np.diff(knots)[0] / np.diff(levels)[0] == pytest.approx(1.5, abs=0.2)
