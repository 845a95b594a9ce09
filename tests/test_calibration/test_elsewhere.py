"""Images and sets that are not like those of the fit: nothing is called sure."""

import re
import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

from mmaslp.calibration import fit_calibrator
from mmaslp.calibration.decisions import Decisions
from mmaslp.calibration.estimates import without_bias
from mmaslp.calibration.features import DOMAIN_FEATURES
from mmaslp.calibration.sets import (
    GroupedInputs,
    SetComparison,
    TooFewImages,
    _auc,
    compare_set,
    permutation_test,
)
from tests.review_samples import estimate as sample
from tests.test_calibration.object_scenes import discs


@pytest.fixture(scope='module')
def calibrator():
    return fit_calibrator(*zip(*(discs(k) for k in range(60))))


def small():
    prob = discs(3)[0].clip(0, 0.1)
    prob[20:22, 20:22] = 0.97
    return prob


def nearly_full():
    prob = discs(3)[0].clip(0.9, 0.95)
    prob[:2] = 0.1
    return prob


def nothing():
    return discs(3)[0].clip(0, 0.1)


@pytest.mark.parametrize('make', [small, nearly_full, nothing])
def test_no_image_outside_of_the_range_is_called_sure(calibrator, make):
    prob = make()
    told = calibrator.image(prob)
    inside = [calibrator.image(discs(k)[0]) for k in range(100, 120)]
    assert told.out_of_range
    assert told.distance > 0.5
    assert not any(image.out_of_range for image in inside)
    score = np.nan_to_num(told.score, nan=-1)
    assert score < min(image.score for image in inside)
    for bound in (told.dice_low, told.iou_low, told.accuracy_low, told.area_low):
        assert np.isnan(bound)
    assert np.isnan([told.accuracy, told.area]).all()
    mask = prob > 0.5
    if mask.any():
        assert told.dice <= 2 * prob[mask].sum() / (mask.sum() + prob.sum()) + 1e-3


def test_an_empty_mask_outside_of_the_range_comes_first(calibrator):
    decisions = replace(calibrator.decisions, empty=[30, 30])
    told = replace(calibrator, decisions=decisions).image(nothing())
    assert told.out_of_range
    assert told.score < 0


def changed(prob, factor, noise=0.0):
    rng = np.random.default_rng(0)
    z = factor * logit(prob.clip(1e-5, 1 - 1e-5))
    return expit(z + noise * rng.normal(size=prob.shape))


def judged(calibrator, number, change=lambda prob: prob):
    maps = [change(discs(k)[0]) for k in range(100, 100 + number)]
    return [calibrator.image(prob) for prob in maps]


def test_a_set_like_the_fit_keeps_its_bounds(calibrator):
    estimates = judged(calibrator, 40)
    comparison, same = calibrator.compare_set(each for each in estimates)
    assert not comparison.differs
    assert same == estimates
    assert calibrator.compare_set(estimates[::-1])[0] == comparison
    assert 'and the 60 images of the fit' in str(comparison)


def squares(seed, side, number=60):
    """Maps whose masks have one area, and their masks: a feature that is constant."""
    rng = np.random.default_rng(seed)
    for _ in range(number):
        row, column = rng.integers(2, 40, 2)
        mask = np.zeros((64, 64))
        mask[row : row + side, column : column + side] = 1
        seen = np.roll(mask, rng.integers(-2, 3, 2), (0, 1))
        noise = rng.normal(0, 0.8, mask.shape).clip(-2.9, 2.9)
        yield expit(np.where(seen, 3.0, -3.0) + noise), mask


@pytest.mark.parametrize('side', [10, 23])
def test_a_feature_that_is_constant_tells_no_sets_apart(side):
    pairs = [*squares(1, side)]
    calibrator = fit_calibrator(*zip(*pairs))
    again = [calibrator.image(prob) for prob, _ in pairs]
    assert calibrator.compare_set(again)[0].p_value > 0.1
    new = [calibrator.image(prob) for prob, _ in squares(2, side)]
    assert not calibrator.compare_set(new)[0].withheld


def test_images_that_are_all_equal_are_alike():
    """Equal scores are neither in order nor out of it, on any processor."""
    inputs = np.random.default_rng(0).normal(size=(1, 17)).repeat(80, 0)
    for fitted in (10, 40, 70):
        auc, p_value = permutation_test(inputs, np.arange(80) >= fitted)
        assert (auc, p_value) == (0.5, 1.0)


def test_the_images_of_the_fit_are_like_it(tmp_path):
    prob, mask = discs(1)
    pairs = [(np.roll(prob, k % 2), np.roll(mask, k % 2)) for k in range(40)]
    calibrator = fit_calibrator(*zip(*pairs))
    calibrator.save(tmp_path / 'c.json')
    for each in (calibrator, type(calibrator).load(tmp_path / 'c.json')):
        comparison, _ = each.compare_set([each.image(prob) for prob, _ in pairs])
        assert comparison.auc == pytest.approx(0.5, abs=0.2)
        assert not comparison.withheld


def test_a_set_that_is_far_away_is_said_and_has_no_bounds(calibrator):
    estimates = judged(calibrator, 40, lambda prob: changed(prob, 1.6))
    comparison, weighted = calibrator.compare_set(estimates)
    assert comparison.differs
    assert comparison.withheld
    assert comparison.auc > 0.9
    told = [
        (image.dice, image.dice_low, image.accuracy, image.area) for image in weighted
    ]
    assert np.isnan([comparison.dice, *sum(told, ())]).all()
    assert 'what is expected of masks, and all bounds, are withheld' in str(comparison)
    first = next(iter(comparison.means))
    assert 'objects' not in first


def test_longer_borders_alone_are_seen(calibrator):
    estimates = judged(calibrator, 40)
    place = DOMAIN_FEATURES.index('share of pixels at the border')
    longer = [np.array(estimate.features) for estimate in estimates]
    for features in longer:
        features[place] *= 1.5
    noisy = [replace(e, features=tuple(f)) for e, f in zip(estimates, longer)]
    comparison, _ = calibrator.compare_set(noisy)
    assert comparison.differs
    assert next(iter(comparison.means)) == DOMAIN_FEATURES[place]


def test_a_set_that_is_near_has_weighted_bounds(calibrator):
    """Features that overlap: those of the fit that are like the new ones count more."""
    rng = np.random.default_rng(0)
    decisions = calibrator.decisions
    features = np.array(decisions.features)
    features[:, 1:6] = rng.uniform(0.2, 0.8, (60, 5))
    worse = np.arange(60) % 2 == 0
    features[:, 1] = np.where(worse, 0.7, 0.3)
    expected = np.full(60, 0.9)
    moved = replace(
        decisions,
        features=np.tile(features, (16, 1)).tolist(),
        expected=np.tile(expected, 16).tolist(),
        dice=np.tile(expected - 0.3 * worse, 16).tolist(),
        area_errors=[0.0] * 960,
        accuracy_errors=[0.0] * 960,
    )
    rows = np.tile(features, (16, 1))[np.tile(worse, 16) | (rng.random(960) < 0.3)]
    estimate = judged(calibrator, 1)[0]
    new = [replace(estimate, dice=0.9, features=tuple(row)) for row in rows]
    comparison, weighted = compare_set(moved, new)
    assert comparison.differs
    assert not comparison.withheld
    assert 20 < comparison.effective < 960
    assert comparison.dice < 0.9 - 0.3 * worse.mean()
    assert all(image.dice_low < 0.61 for image in weighted)
    assert 'bounds are weighted' in str(comparison)


@pytest.mark.parametrize('weights', [None, np.array([0.0, 1.0, 1.0, 1.0])])
def test_a_mean_of_expected_dice_is_without_the_bias_of_masks(weights):
    """What is expected of an empty mask is no median."""
    decisions = SimpleNamespace(
        errors=dict(
            dice=np.array([0.5, 0.7, 0.7, 1.0]),
            expected=np.array([0.8, 0.8, 0.8, np.nan]),
        )
    )
    found, specks, empty = np.zeros((3, len(DOMAIN_FEATURES)))
    mask_share = DOMAIN_FEATURES.index('share of the mask')
    found[mask_share] = 0.2
    specks[mask_share] = 1e-4  # too small for an object
    images = [
        replace(sample(0.8), features=found),
        replace(sample(0.8, objects=0), features=specks),
        replace(sample(1.0, objects=0), features=empty),
    ]
    told = without_bias(decisions, images, weights)
    apart = np.mean([-0.3, -0.1, -0.1]) if weights is None else -0.1
    assert told == pytest.approx([0.8 + apart, 0.8 + apart, 1.0])
    assert without_bias(Decisions(), images[:1]) == [0.8]


def test_a_fit_without_an_image_is_compared_with_nothing(calibrator):
    with pytest.raises(ValueError, match='too few to compare with the 0 of the fit'):
        compare_set(Decisions(), judged(calibrator, 8))


def test_bounds_are_withheld_before_the_alarm_rings(calibrator):
    """A mixture of like and unlike maps, of which as many as leave a p above .001."""
    alike = judged(calibrator, 40)
    unlike = judged(calibrator, 40, lambda prob: changed(prob, 1.6))
    for share in range(40):
        estimates = [*unlike[:share], *alike[share:]]
        comparison, bounded = calibrator.compare_set(estimates)
        if comparison.p_value <= 0.01:
            break
        assert not comparison.withheld

    assert not comparison.differs
    assert comparison.withheld
    assert all(np.isnan(image.dice_low) for image in bounded)
    assert 'may differ (an alarm needs a p of .001) from the 60' in str(comparison)


@pytest.mark.parametrize(
    ('auc', 'p_value', 'effective', 'withheld'),
    [
        (0.6, 0.01, 60.0, True),
        (0.59, 0.01, 20.0, False),
        (0.59, 0.01, 19.0, True),
        (0.9, 0.011, 60.0, False),
    ],
)
def test_when_bounds_are_withheld(auc, p_value, effective, withheld):
    found = SetComparison((60, 40), auc, p_value, False, {}, effective, 0.9)
    assert found.withheld == withheld


def test_an_alarm_that_cannot_ring_is_refused(calibrator):
    with pytest.raises(TooFewImages, match='too few') as error:
        calibrator.compare_set(judged(calibrator, 3))
    least = int(re.search(r'at least (\d+), better', str(error.value))[1])
    with pytest.raises(TooFewImages, match=f'give at least {least}, '):
        calibrator.compare_set(judged(calibrator, least - 1))
    far = judged(calibrator, least, lambda prob: changed(prob, 3.0))
    assert calibrator.compare_set(far)[0].differs


def test_equal_sets_ring_as_seldom_as_promised():
    rng = np.random.default_rng(0)
    values = [
        permutation_test(rng.normal(size=(60, 9)), np.arange(60) < 30)[1]
        for _ in range(40)
    ]
    assert min(values) > 0.001
    assert 0.25 < np.mean(values) < 0.75


def test_groups_that_are_alike_ring_as_seldom_as_promised():
    """Five slices of a patient are not five images: those that are alike ring."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(30), 5)
    by_groups = []
    by_images = []
    for _ in range(10):
        inputs = rng.normal(size=(30, 9))[group] + 0.1 * rng.normal(size=(150, 9))
        by_groups.append(permutation_test(inputs, group < 15, group)[1])
        by_images.append(permutation_test(inputs, group < 15)[1])

    assert min(by_groups) > 0.001
    assert 0.25 < np.mean(by_groups) < 0.75
    assert np.mean(np.array(by_images) <= 0.001) > 0.5


def slices(first, patients, number=4, change=lambda prob: prob):
    """Maps of patients, of which slices are nearly alike, and masks and groups."""
    for patient in range(first, first + patients):
        prob, mask = discs(patient)
        for k in range(number):
            noise = np.random.default_rng(k).normal(0, 0.003, prob.shape)
            yield change((prob + noise).clip(0, 1)), mask, f'patient {patient}'


@pytest.fixture(scope='module')
def grouped():
    maps, masks, groups = zip(*slices(0, 24))
    return fit_calibrator(maps, masks, groups=groups)


def test_groups_of_new_images_are_compared_with_those_of_the_fit(grouped, tmp_path):
    maps, _, groups = zip(*slices(100, 12))
    estimates = [grouped.image(prob) for prob in maps]
    comparison, same = grouped.compare_set(estimates, groups)
    assert comparison.groups == (24, 12)
    assert comparison.p_value > 0.05
    assert same == estimates
    assert comparison.effective == pytest.approx(24)
    assert (
        'between the 48 new images of 12 groups and the 96 images of 24 groups'
        in str(comparison)
    )
    assert 'With so few images a difference may be missed.' in str(comparison)
    # By images the same maps rang.
    alone = replace(grouped.decisions, groups=None)
    assert compare_set(alone, estimates)[0].p_value < comparison.p_value / 10

    # Neither the order nor what groups are called tells anything.
    assert grouped.compare_set(estimates[::-1], groups[::-1])[0] == comparison
    assert grouped.compare_set(estimates, [k // 4 for k in range(48)])[0] == comparison

    grouped.save(tmp_path / 'c.json')
    again = type(grouped).load(tmp_path / 'c.json')
    assert again.compare_set(estimates, groups)[0] == comparison


def test_groups_that_differ_are_seen(grouped):
    maps, _, groups = zip(*slices(100, 12, change=lambda prob: changed(prob, 2.5)))
    estimates = [grouped.image(prob) for prob in maps]
    comparison, _ = grouped.compare_set(estimates, groups)
    assert comparison.differs
    assert (
        'The 48 new images of 12 groups differ from the 96 images of 24 groups'
        in str(comparison)
    )


def test_groups_of_one_set_count_as_one_image_each(grouped):
    estimates = [grouped.image(prob) for prob, _, _ in slices(100, 20, number=1)]
    comparison, _ = grouped.compare_set(estimates)
    assert comparison.groups == (24, 20)
    assert comparison.p_value > 0.05
    assert 'Only one of the two sets has groups' in str(comparison)

    alone = fit_calibrator(*zip(*(pair[:2] for pair in slices(0, 24, number=1))))
    maps, _, groups = zip(*slices(100, 20))
    comparison, _ = alone.compare_set(map(alone.image, maps), groups)
    assert comparison.groups == (24, 20)
    assert comparison.p_value > 0.05
    assert 'Only one of the two sets has groups' in str(comparison)


def test_too_few_groups_and_groups_of_other_images(grouped):
    maps, _, groups = zip(*slices(100, 3))
    estimates = [grouped.image(prob) for prob in maps]
    with pytest.raises(
        TooFewImages, match='3 new groups are too few to compare with the 24'
    ):
        grouped.compare_set(estimates, groups)
    with pytest.raises(ValueError, match='11 groups for 12 images: give one for each'):
        grouped.compare_set(estimates, groups[1:])


def test_more_patients_than_a_table_has_groups_are_kept_apart():
    maps, masks, groups = zip(*slices(0, 110, number=2))
    small = [values[::3, ::3] for values in maps]
    decisions = fit_calibrator(small, [m[::3, ::3] for m in masks], groups=groups)
    of_image = np.array(decisions.decisions.groups)
    assert len(of_image) == 220
    assert (np.bincount(of_image) == 2).all()


@pytest.mark.parametrize(
    ('groups', 'message'),
    [
        (dict.fromkeys(range(12), 0), 'must be a list, in the order of the images'),
        ('a' * 12, 'must be a list'),
        (7, 'must be a list'),
        ([None] * 12, 'one is None'),
        ([[0]] * 12, 'must be a name for each image'),
    ],
)
def test_what_names_no_groups(grouped, groups, message):
    estimates = [grouped.image(prob) for prob, _, _ in slices(100, 12, number=1)]
    with pytest.raises(ValueError, match=message):
        grouped.compare_set(estimates, groups)


def test_groups_may_be_a_tensor(grouped):
    maps, _, groups = zip(*slices(100, 20))
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    estimates = [grouped.image(prob) for prob in maps]
    by_name, _ = grouped.compare_set(estimates, groups)
    of_tensor = torch.tensor([numbers[group] for group in groups])
    by_number, _ = grouped.compare_set(estimates, of_tensor)
    assert by_number == by_name
    assert by_name.groups == (24, 20)


def test_images_on_their_own_have_no_groups(calibrator):
    assert calibrator.decisions.groups is None
    assert 'groups' not in calibrator.to_dict()['decisions']


def test_of_a_group_some_images_count():
    group = np.array([0, 1, 1, 1, 2, 2, 2, 2, 1])
    images = GroupedInputs(np.zeros((9, 17)), group)
    assert (images.num_groups, images.usual_size) == (3, 4)
    for most in (1, 2, 4):
        counted = images.at_most(most)
        assert np.bincount(group[counted]).tolist() == [1, most, most]


def auc_by_pairs(scores, is_new):
    apart = scores[is_new][:, None] - scores[~is_new]
    return ((apart > 0) + (apart == 0) / 2).mean()


def test_the_area_is_counted_by_pairs_and_ties_are_half():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 8, 50).astype(float)
    is_new = rng.permutation(50) < 20
    assert _auc(scores, is_new) == pytest.approx(auc_by_pairs(scores, is_new))


def test_many_new_images_take_little_memory():
    """Divisions are made some at a time: 1,999 at once take five times as much."""
    inputs = np.random.default_rng(0).normal(size=(3000, 17))
    tracemalloc.start()
    permutation_test(inputs, np.arange(3000) >= 200)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6
