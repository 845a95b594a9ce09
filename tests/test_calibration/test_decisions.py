import csv
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from mmaslp.calibration import CalibrationTables, Calibrator, fit_calibrator, fit_tables
from mmaslp.calibration.decisions import Decisions, weighted_quantile
from mmaslp.calibration.features import (
    LOGIT_EDGES,
    domain_features,
    expected_dice,
    image_features,
    logit,
    object_features,
    true_dice,
)
from mmaslp.calibration.fitting.cases import cases_of, labels_of_groups
from mmaslp.calibration.fitting.decisions import fit_decisions
from mmaslp.calibration.fitting.packed import PackedImages
from mmaslp.common.bands import border_bands
from mmaslp.files.reviews import write_objects
from mmaslp.metrics.image_metrics import aurc
from mmaslp.workflows.review import review_image
from tests.evil import growth
from tests.test_calibration import samples
from tests.test_calibration.object_scenes import discs, object_figures


def fitted(images=60, **options):
    scenes = [discs(k, **options) for k in range(images)]
    return fit_calibrator([p for p, _ in scenes], [m for _, m in scenes])


@pytest.fixture(scope='module')
def calibrator():
    return fitted()


def test_features_are_their_definitions():
    prob, mask = discs(3)
    tables = CalibrationTables()
    tables.update(prob, mask, 0)
    contents = tables.contents[0]
    codes = np.linspace(0, 1, 5 * 258)  # any probabilities
    own = codes[contents.codes]
    inside = contents.in_mask
    pixels = contents.pixels
    soft = 2 * (pixels * own)[inside].sum()
    soft /= pixels[inside].sum() + (pixels * own).sum()
    assert expected_dice(contents, codes) == pytest.approx(soft)
    assert logit(np.array([soft]), 1e-4) == pytest.approx(
        image_features(contents, codes)[0]
    )
    hit = ((prob > 0.5) & (mask == 1)).sum()
    dice = 2 * hit / ((prob > 0.5).sum() + mask.sum())
    assert true_dice(contents) == pytest.approx(dice)
    rows = object_features(contents, codes)
    area = contents.sums_of_objects(np.ones(len(codes)))
    assert rows[:, 2] == pytest.approx(np.log(area / prob.size))
    assert rows[:, 4] == pytest.approx(np.log(area / area.sum()))
    assert rows[:, 5] == pytest.approx(np.log(len(area)))

    at_border = border_bands(torch.as_tensor(prob > 0.5)[None])[0].numpy() == 0
    share, spread, *bins = domain_features(contents)[7:]
    assert share == pytest.approx(at_border.mean(), rel=1e-4)  # five digits
    steepness = np.abs(logit(prob[at_border]))
    assert spread == pytest.approx(steepness.std(), rel=0.02)  # cells of the logit
    edges = [-np.inf, *LOGIT_EDGES, np.inf]
    expected = np.histogram(logit(prob), edges)[0] / prob.size
    assert bins == pytest.approx(expected, abs=0.01)
    assert sum(bins) == pytest.approx(1, abs=1e-4)


def test_objects_are_as_probable_as_they_are_real(calibrator):
    shipped, ours, real = [], [], []
    for k in range(100, 200):
        prob, mask = discs(k)
        table = calibrator.objects(prob)
        for label in table.label:
            own = table.labels == label
            shipped.append(prob[own].mean())
            real.append(mask[own].mean() > 0.5)
        ours += table.probability.tolist()
    before = object_figures(np.array(shipped), np.array(real))
    after = object_figures(np.array(ours), np.array(real))
    assert after['ece_object'] < 0.35 * before['ece_object']
    assert after['nll_object'] < 0.7 * before['nll_object']
    assert after['auroc_object'] > before['auroc_object'] - 0.02


def test_the_dice_of_an_image_is_expected_within_its_bound(calibrator):
    errors, plain, covered = [], [], []
    for k in range(100, 200):
        prob, mask = discs(k)
        told = calibrator.image(prob)
        found = prob > 0.5
        size = found.sum() + mask.sum()
        dice = 2 * (found & (mask == 1)).sum() / size
        errors.append(abs(told.dice - dice))
        plain.append(abs(2 * prob[found].sum() / (found.sum() + prob.sum()) - dice))
        covered.append(dice >= told.dice_low)
    assert np.mean(errors) < np.mean(plain)
    assert 0.8 <= np.mean(covered) <= 0.99


def test_the_accuracy_of_an_image_is_expected_within_its_bound(calibrator):
    errors, covered = [], []
    for k in range(100, 200):
        prob, mask = discs(k)
        told = calibrator.image(prob)
        true = ((prob > 0.5) == (mask == 1)).mean()
        errors.append(told.accuracy - true)
        covered.append(true >= told.accuracy_low)
        assert told.accuracy_low <= told.accuracy
    assert np.abs(np.mean(errors)) < 0.01
    assert 0.8 <= np.mean(covered) <= 0.99


def test_a_table_says_where_objects_are(calibrator):
    prob = np.full((40, 40), 0.01)
    prob[3:13, 5:25] = 0.9
    prob[30:38, 20:30] = 0.8
    table = calibrator.objects(prob)
    assert table.area.tolist() == [200, 80]
    assert table.box.tolist() == [[[3, 12], [5, 24]], [[30, 37], [20, 29]]]
    assert table.centre.tolist() == [[7.5, 14.5], [33.5, 24.5]]
    assert np.array_equal(np.unique(table.labels), [0, 1, 2])
    assert ((table.probability > 0) & (table.probability < 1)).all()
    logits = calibrator.objects(np.log(prob / (1 - prob)), logits=True)
    assert logits.probability == pytest.approx(table.probability, abs=1e-6)
    estimate, both = calibrator.judge(prob)
    assert repr(estimate) == repr(calibrator.image(prob))  # some are nan
    assert estimate.objects == 2
    assert np.array_equal(both.probability, table.probability)


def test_a_batch_is_judged_image_by_image(calibrator):
    maps = torch.stack([torch.as_tensor(discs(k)[0]) for k in range(3)])
    logit = torch.logit(maps)
    two = torch.stack([-logit / 2, logit / 2], 1)
    for batch, logits in ((maps[:, None], False), (logit[:, None], True), (two, True)):
        found = calibrator.judge_batch(batch, logits=logits)
        assert len(found) == 3
        for (told, table), prob in zip(found, maps):
            expected, objects = calibrator.judge(prob)
            assert told.dice == pytest.approx(expected.dice, abs=1e-6)
            assert np.array_equal(table.labels, objects.labels)
    for wrong in (maps, torch.stack([maps, maps], 1)):
        with pytest.raises(ValueError, match=r'give a batch \(N, 1, H, W\)'):
            calibrator.judge_batch(wrong)


def test_calibrated_maps_are_not_judged(calibrator):
    prob = torch.as_tensor(discs(1)[0])
    logit = torch.logit(prob)[None, None]
    raw, calibrated = calibrator.wrap(nn.Identity(), with_raw=True)(logit)
    assert raw is logit
    assert torch.equal(calibrated, calibrator.wrap(nn.Identity())(logit))
    assert calibrator.judge_batch(raw, logits=True)
    for call in (
        lambda: calibrator.judge_batch(calibrated, logits=True),
        lambda: calibrator.image(calibrator(prob)),
    ):
        with pytest.raises(ValueError, match="give the network's own maps"):
            call()


def test_members_are_averaged_before_they_are_reviewed():
    """The mean of maps whose errors differ has better masks, and a better review."""
    rng = np.random.default_rng(0)

    def members(k):
        prob, mask = discs(k, share_real=1.0)
        noise = gaussian_filter(rng.normal(size=(3, 48, 48)), (0, 2, 2)) * 8
        logits = logit(prob, 1e-3) / 3 + noise
        return 1 / (1 + np.exp(-logits)), mask

    fit = [members(k) for k in range(40)]
    new = [members(k) for k in range(100, 130)]
    error, dice = {}, {}
    for name, take in (('one', lambda maps: maps[0]), ('mean', lambda m: m.mean(0))):
        own = fit_calibrator([take(maps) for maps, _ in fit], [m for _, m in fit])
        true = []
        for maps, mask in new:
            found = take(maps) > 0.5
            true.append(2 * (found & (mask == 1)).sum() / (found.sum() + mask.sum()))
        told = [own.image(take(maps)).dice for maps, _ in new]
        dice[name] = np.mean(true)
        error[name] = np.mean(np.abs(np.array(told) - true))
    assert dice['mean'] > dice['one'] + 0.02
    assert error['mean'] < error['one']


def test_volumes_are_judged_as_a_whole():
    calibrator = fitted(40, depth=6, size=32)
    prob, _ = discs(99, depth=6, size=32)
    table = calibrator.objects(prob)
    assert table.box.shape == (len(table), 3, 2)
    assert len(table) >= 2
    assert 0 < calibrator.image(prob).dice < 1


def test_levels_widen_the_bounds(calibrator):
    prob, _ = discs(5)
    lows = [calibrator.image(prob, level=level).dice_low for level in (0.5, 0.8, 0.95)]
    assert lows == sorted(lows, reverse=True)
    wide, narrow = (calibrator.image(prob, level=level) for level in (0.95, 0.5))
    assert wide.area_low <= narrow.area_low <= narrow.area_high <= wide.area_high
    for level in (0, 1, 2):
        with pytest.raises(ValueError, match='level must be'):
            calibrator.image(prob, level=level)


@pytest.mark.parametrize('number', [9, 19])
def test_a_bound_that_so_few_images_cannot_give_is_none(number):
    residuals = np.linspace(-1, 1, number)
    one, beyond = 1 / (number + 1), 0.9 / (number + 1)
    assert weighted_quantile(residuals, one) == -1
    assert weighted_quantile(residuals, 1 - one) == 1
    assert np.isnan(weighted_quantile(residuals, beyond))
    assert np.isnan(weighted_quantile(residuals, 1 - beyond))


def test_a_level_that_the_fit_cannot_give_has_no_bounds(calibrator):
    sure = calibrator.image(discs(5)[0], level=0.9999)
    assert np.isnan(
        [sure.dice_low, sure.accuracy_low, sure.area_low, sure.area_high]
    ).all()


def all_real():
    return [discs(k, share_real=1.0) for k in range(20)]


def none_real():
    scenes = [discs(k, share_real=0.0) for k in range(20)]
    scenes[0][1][0, :3] = 1  # missed
    return scenes


def nothing_found():
    return [(np.minimum(prob, 0.4), mask) for prob, mask in all_real()]


@pytest.mark.parametrize('scenes', [all_real, none_real, nothing_found])
def test_what_cannot_be_told_is_said(scenes):
    prob, label = zip(*scenes())
    found = fit_calibrator(prob, label)
    assert 'not enough to judge which are real' in found.summary()
    assert np.isnan(found.objects(discs(50)[0]).probability).all()
    with pytest.raises(ValueError, match='cannot judge objects'):
        found.check_objects()
    told = found.image(discs(50)[0])
    assert np.isnan(told.dice) == (scenes is nothing_found)


def test_no_dice_is_told_where_a_sure_mask_of_the_fit_is_wrong():
    sets = {0: [discs(k, share_real=1.0) for k in range(40)]}
    sets[1] = [
        (prob, mask * np.uint8(k % 4 > 0)) for k, (prob, mask) in enumerate(sets[0])
    ]
    found = {wrong: fit_calibrator(*zip(*scenes)) for wrong, scenes in sets.items()}
    told = {wrong: each.image(discs(50)[0]) for wrong, each in found.items()}
    assert not np.isnan([told[0].dice, told[0].dice_low]).any()
    assert np.isnan([told[1].dice, told[1].dice_low, told[1].iou]).all()
    assert 0 < told[1].score < 1  # the order stays
    assert told[1].area_low < told[1].area
    assert 'two confident ones are' in found[1].summary()
    assert found[1].decisions.record['images']['below'] > 0.3


def test_an_empty_mask_is_told_by_others_like_it():
    nothing = np.full((48, 48), 0.1)
    assert np.isnan(fitted(20).image(nothing).dice)
    empty = [(nothing + 0.001 * k, np.zeros((48, 48), np.uint8)) for k in range(7)]
    missed = np.zeros((48, 48), np.uint8)
    missed[:4, :4] = 1
    empty.append((nothing, missed))
    scenes = [discs(k, share_real=1.0) for k in range(20)] + empty
    found = fit_calibrator([p for p, _ in scenes], [m for _, m in scenes])
    assert found.decisions.empty == [8, 7]
    told = found.image(nothing)
    assert told.dice == pytest.approx(7.5 / 9)
    assert told.iou == told.dice  # both are 1 or 0
    assert found.image(nothing, level=0.8).iou_low == told.dice
    assert 'in 8 images the network found nothing, and in 7 of them' in found.summary()

    # Of a weak network a mean would be one of empty masks alone.
    scenes = [
        (prob, mask * np.uint8(k % 2)) for k, (prob, mask) in enumerate(scenes[:20])
    ] + empty
    found = fit_calibrator([p for p, _ in scenes], [m for _, m in scenes])
    assert found.decisions.image is None
    told = found.image(nothing)
    assert np.isnan(told.dice)
    assert told.present == pytest.approx(1.5 / 9)


def test_a_file_carries_what_was_learned(calibrator, tmp_path):
    calibrator.save(tmp_path / 'c.json')
    again = Calibrator.load(tmp_path / 'c.json')
    assert again == calibrator
    prob, _ = discs(7)
    assert again.image(prob) == calibrator.image(prob)


def test_a_calibrator_without_decisions_asks_for_a_new_fit(calibrator):
    older = Calibrator.from_dict({**calibrator.to_dict(), 'decisions': None})
    for call in (older.objects, older.image):
        with pytest.raises(ValueError, match='fit it again with `mmaslp fit'):
            call(discs(1)[0])


@pytest.mark.parametrize(
    'damage',
    [
        lambda plain: plain.pop('objects'),
        lambda plain: plain['objects'].update(name='x'),
        lambda plain: plain['objects'].update(weights=[]),
        lambda plain: plain['image'].update(name='regression', weights=['x'] * 5),
        lambda plain: plain['objects']['weights'].__setitem__(0, 10**30),
        lambda plain: plain.update(dice=[0.0]),
        lambda plain: plain['features'][0].pop(),
        lambda plain: plain.update(cuts=[[1.0]]),
        lambda plain: plain.update(area_unit='x'),
        lambda plain: plain.update(empty=[1, 2]),
        lambda plain: plain.update(other=1),
    ],
)
def test_damaged_decisions_are_refused(calibrator, damage):
    plain = json.loads(json.dumps(calibrator.to_dict()))
    damage(plain['decisions'])
    with pytest.raises(ValueError, match='not a calibrator'):
        Calibrator.from_dict(plain)


def test_the_order_of_images_changes_nothing():
    parts = [CalibrationTables() for _ in range(3)]
    whole = CalibrationTables()
    for k in range(30):
        prob, mask = discs(k)
        parts[k % 3].update(prob, mask, k)
        whole.update(prob, mask, k)
    joined = CalibrationTables()
    for part in reversed(parts):
        joined.merge(part)
    assert fit_tables(joined) == fit_tables(whole)
    mixed = [whole.contents[k] for k in np.random.default_rng(0).permutation(30)]
    assert fit_decisions(mixed) == fit_decisions(whole.contents)


@pytest.mark.parametrize(
    ('given', 'words'),
    [
        (np.full((8, 8), np.nan), 'NaN'),
        (np.full((8, 8), 2.0), 'in \\[0, 1\\]'),
        (np.full((2, 1, 8, 8), 0.5), r'one image \(H, W\) or one volume'),
    ],
)
def test_maps_that_cannot_be_judged(calibrator, given, words):
    with pytest.raises(ValueError, match=f'(?i){words}'):
        calibrator.objects(given)


def test_aurc_is_the_mean_of_mean_risks():
    risk = np.array([0.1, 0.5, 0.3])
    score = np.array([0.9, 0.2, 0.5])
    expected = np.mean([0.1, (0.1 + 0.3) / 2, (0.1 + 0.3 + 0.5) / 3])
    assert aurc(score, risk) == pytest.approx(expected)


def test_decisions_survive_a_file(calibrator):
    found = calibrator.decisions
    assert len(found.features) == len(found.dice) == len(found.area_errors) == 60
    assert Decisions.from_dict(json.loads(json.dumps(asdict(found)))) == found
    assert replace(found, area_unit='image') != replace(found, area_unit='doubt')


def scenes_with_an_ignored_object(ignored):
    rng = np.random.default_rng(0)
    tables = CalibrationTables()
    for number in range(20):
        prob = rng.uniform(0.03, 0.07, (32, 32))
        label = np.zeros((32, 32), np.uint8)
        prob[4:10, 4:10] = 0.9
        label[4:10, 4:10] = number % 10 > 0
        prob[20:26, 4:10] = 0.7
        label[20:26, 4:10] = number % 2
        if ignored:
            prob[16:28, 16:28] = 0.8
            label[14:30, 14:30] = 255
        tables.update(prob, label)
    return fit_decisions(tables.contents)


def test_an_object_that_is_ignored_is_not_false():
    without, with_one = map(scenes_with_an_ignored_object, (False, True))
    assert without.cuts[0][2] == with_one.cuts[0][2] == 0.6


def test_a_fold_counts_patients_as_the_whole_fit_does():
    tables = CalibrationTables()
    for number, (prob, label) in enumerate(zip(*samples.maps(60))):
        tables.update(prob, label, number // 6)
    images = tables.contents
    assert images.keys == sorted(list(range(10)) * 6)
    alone = PackedImages(replace(image, key=None) for image in images)
    labels = labels_of_groups(images)
    [of_patients, *_] = cases_of(images, labels)
    [of_images, *_] = cases_of(alone, labels)
    # Eight patients doubt more than 48 images of the same pixels.
    apart = np.abs(of_patients.prob - of_images.prob)
    assert apart.max() > 1e-4


def test_what_a_cut_costs_is_told_and_chosen(calibrator):
    cuts = np.array(calibrator.decisions.cuts)
    assert cuts[0, :2].tolist() == [0, 1]
    assert (np.diff(cuts[:, 1]) <= 0).all()
    assert (np.diff(cuts[:, 2]) <= 0).all()
    kept = calibrator.decisions.least_probability(keep_real=0.9)
    rows = {row[0]: row for row in cuts.tolist()}
    assert rows[kept][1] >= 0.9
    assert all(row[1] < 0.9 for cut, row in rows.items() if cut > kept)
    few = calibrator.decisions.least_probability(max_false=0.5)
    assert rows[few][2] <= 0.5 < cuts[0, 2]
    with pytest.raises(ValueError, match='max_false must be a number, at least 0'):
        calibrator.decisions.least_probability(max_false=-1.0)
    assert 'If objects below a threshold are left out' in calibrator.summary()

    # What the table says of the fit holds on other images.
    kept, false = [], []
    for k in range(100, 200):
        prob, mask = discs(k)
        table = calibrator.objects(prob)
        for label, value in zip(table.label, table.probability):
            real = mask[table.labels == label].mean() > 0.5
            (kept if real else false).append(value >= 0.5)
    assert np.mean(kept) == pytest.approx(rows[0.5][1], abs=0.12)
    assert np.sum(false) / 100 == pytest.approx(rows[0.5][2], abs=0.25)


def test_few_objects_are_told_with_a_range():
    few = fitted(12)  # 36 objects
    assert few.decisions.objects.name == 'drawn'
    truth, ours, shipped = [], [], []
    for k in range(100, 150):
        prob, mask = discs(k)
        table = few.objects(prob)
        assert (table.low < table.probability).all()
        assert (table.probability < table.high).all()
        ours += table.probability.tolist()
        for label in table.label:
            own = table.labels == label
            shipped.append(prob[own].mean())
            truth.append(mask[own].mean() > 0.5)
    prob, mask = discs(0)
    sure = few.objects(np.where(mask, 1 - 1e-7, 1e-7).astype(np.float32))
    assert (sure.low <= sure.probability).all()
    assert (sure.probability <= sure.high).all()
    before = object_figures(np.array(shipped), np.array(truth))
    after = object_figures(np.array(ours), np.array(truth))
    assert after['nll_object'] < before['nll_object']
    assert np.isnan(fitted(30).objects(discs(1)[0]).low).all()


def test_few_images_have_no_interval_of_the_area_and_say_so():
    for images, few in ((18, True), (19, False)):
        calibrator = fitted(images)
        assert np.isnan(calibrator.image(discs(100)[0]).area_low) == few
        assert ('an interval of 90 % needs 19 images' in calibrator.summary()) == few
        assert f'Areas: by {calibrator.decisions.area_from}' in calibrator.summary()


def test_a_logit_that_a_probability_does_not_tell_from_0_is_in_the_mask():
    logit = np.full((48, 48), -5.0, np.float32)
    logit[10:30, 10:30] = 2e-8
    row = review_image(fitted(12), 'a', logit, logit.astype(np.uint8) * 0, logits=True)
    assert row.objects.area.tolist() == [400]
    assert row.mask_area == 400


def test_the_range_of_an_object_is_in_its_row(tmp_path):
    row = review_image(fitted(12), 'a', discs(100)[0])
    write_objects(tmp_path / 'o.csv', [row])
    with open(tmp_path / 'o.csv', newline='') as file:
        lines = [*csv.DictReader(file)]
    for end in ('low', 'high'):
        told = [float(line[f'probability_{end}']) for line in lines]
        assert told == pytest.approx(getattr(row.objects, end).tolist(), abs=1e-4)


def test_the_interval_of_an_area_grows_with_the_area(calibrator):
    widths, inside = [], []
    for k in range(100, 200):
        prob, mask = discs(k, number=1 + k % 3)
        told = calibrator.image(prob)
        if not told.out_of_range:
            widths.append((told.area, told.area_high - told.area_low))
            inside.append(told.area_low <= mask.sum() <= told.area_high)
    area, width = np.array(widths).T
    assert np.corrcoef(area, width)[0, 1] > 0.5
    assert 0.8 <= np.mean(inside) <= 1


def certain(k):
    """Discs of every size that are there, and a network that is right to be sure."""
    rows, columns = np.indices((48, 48)) - 24
    mask = np.hypot(rows, columns) < 4 + k % 15
    return np.where(mask, 0.995, 0.005), mask.astype(np.uint8)


def test_the_area_of_a_certain_object_never_starts_at_nothing():
    found = fit_calibrator(*zip(*(certain(k) for k in range(40))))
    for k in range(15):
        prob, mask = certain(k)
        told = found.image(prob)
        assert 0.5 * mask.sum() < told.area_low <= told.area_high < 1.5 * mask.sum()


def test_an_area_is_expected_by_what_erred_less():
    calibrated, too_sure = (
        fit_calibrator(*samples.maps(sharp=each)) for each in (1, 3)
    )
    assert calibrated.decisions.area_from == 'uncalibrated'
    assert too_sure.decisions.area_from == 'calibrated'
    for found, sharp in ((calibrated, 1), (too_sure, 3)):
        prob, label = (each[0] for each in samples.maps(1, sharp=sharp, seed=1))
        error = found.image(prob).area - label.sum()
        assert abs(error) <= abs(prob.sum() - label.sum())
        as_it_is = replace(found.decisions, area_from='uncalibrated')
        told = replace(found, decisions=as_it_is).image(prob)
        assert told.area == pytest.approx(prob.sum(), rel=1e-3)


def test_whether_an_image_holds_anything_is_told_where_none_did():
    assert np.isnan(fitted(20).image(discs(50)[0]).present)
    scenes = [discs(k, share_real=1.0) for k in range(20)]
    scenes += [discs(k, share_real=0.0, number=1) for k in range(20, 40)]
    found = fit_calibrator(*zip(*scenes))
    some = found.image(discs(60, share_real=1.0)[0]).present
    none = found.image(discs(61, share_real=0.0, number=1)[0]).present
    assert none < 0.5 < some


def test_channels_are_not_slices():
    prob, label = (np.stack(each) for each in zip(*(discs(k) for k in range(20))))
    pairs = prob.reshape(10, 2, 48, 48), label.reshape(10, 2, 48, 48)
    assert fit_calibrator(*pairs).decisions is None
    assert fit_calibrator(prob[:, None], label[:, None]).decisions is not None


def test_a_volume_costs_little_more_than_itself():
    rng = np.random.default_rng(0)
    prob = rng.random((60, 256, 256), dtype=np.float32) * 0.1
    prob[10:20, 50:90, 50:90] = 0.9
    calibrator = replace(fitted(12), record={})  # it does not say that it saw images
    message, peak = growth(calibrator.judge, prob)
    assert message is None
    assert peak < 4 * prob.nbytes
