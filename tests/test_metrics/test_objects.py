import itertools

import numpy as np
import pytest
from scipy import ndimage

from mmaslp import Calibrator, fit_calibrator
from mmaslp.calibration.estimates import mask_estimates
from mmaslp.common.maps import LabelledMap
from mmaslp.evaluation.evaluator import Evaluator
from mmaslp.metrics import ImageTable
from mmaslp.metrics.bootstrap import resample
from mmaslp.metrics.image_metrics import aurc, image_metrics
from mmaslp.metrics.objects import LEAST_SHARE
from tests.test_calibration.object_scenes import discs


def scenes(number=24, **options):
    prob, label = zip(*(discs(k, **options) for k in range(number)))
    prob, label = np.stack(prob), np.stack(label)
    label[::3, ..., 4:7] = 255
    prob[3] = 0.2  # nothing is found
    label[5] = 0  # nothing is there
    return prob, label


def defined(prob, label):
    """All metrics by loops over objects and images, in float64."""
    objects, images, empty = [], [], []
    for p, y in zip(prob, label):
        valid = y != 255
        mask = p > 0.5
        if not (y == 1).any():
            empty.append(mask[valid].mean())
        found, number = ndimage.label(mask)
        for name in range(1, number + 1):
            own = found == name
            if own.mean() >= LEAST_SHARE[p.ndim] and (own & valid).any():
                objects.append((p[own].mean(), (y[own & valid] == 1).mean() > 0.5))
        if (mask & valid).any():
            size = (mask & valid).sum()
            dice = 2 * (mask & (y == 1)).sum() / (size + (y == 1).sum())
            said = 2 * p[mask & valid].sum() / (size + p[valid].sum())
            images.append((dice, said))
    error = 0
    for low in np.arange(10) / 10:
        own = [o for o in objects if low < o[0] <= low + 0.1]
        error += abs(sum(p for p, _ in own) - sum(r for _, r in own)) / len(objects)
    pairs = [
        (one > two) + (one == two) / 2
        for (one, real), (two, other) in itertools.product(objects, objects)
        if real and not other
    ]
    images.sort(key=lambda pair: -pair[1])
    risks = [np.mean([1 - d for d, _ in images[: k + 1]]) for k in range(len(images))]
    return {
        'ece_object': error,
        'auroc_object': np.mean(pairs),
        'dice_error': np.mean([abs(d - s) for d, s in images]),
        'aurc': np.mean(risks),
        'empty_found': np.mean([share > 0 for share in empty]),
        'empty_area': np.mean(empty),
    }


def estimates(prob, label, ignore_index=255):
    return mask_estimates(LabelledMap.from_arrays(prob, label, ignore_index))


def table_of(prob, label, estimate=estimates):
    evaluator = Evaluator()
    for k, (p, y) in enumerate(zip(prob, label)):
        evaluator.add(str(k), p, y, p, estimate(p, y))
    return evaluator.result('', '', calibrated=True, resamples=0).images


@pytest.mark.parametrize('options', [{}, dict(depth=5, size=32)])
def test_metrics_are_their_definitions(options):
    prob, label = scenes(**options)
    expected = defined(prob, label)
    found = image_metrics(table_of(prob, label))
    for key, value in expected.items():
        assert float(found[key]) == pytest.approx(value, abs=1e-9), key


def test_a_resample_is_a_set_of_its_images():
    table = table_of(*scenes())
    rng = np.random.default_rng(0)
    chosen = rng.integers(len(table), size=(4, len(table)))
    weights = np.stack([np.bincount(row, minlength=len(table)) for row in chosen])
    drawn = image_metrics(table, weights)
    for row, own in zip(range(4), chosen):
        expected = image_metrics(table.take(own))
        for key in ('ece_object', 'auroc_object', 'dice_error', 'aurc'):
            assert drawn[key][row] == pytest.approx(float(expected[key])), key


def test_a_file_holds_the_estimates():
    table = table_of(*scenes())
    again = ImageTable.from_json(table.to_json(), 10)
    one, two = (resample(t, 20).drawn for t in (table, again))
    for key in ('ece_object', 'auroc_object', 'dice_error', 'aurc'):
        assert np.array_equal(one[key], two[key])
    columns = table.to_json()
    columns['masks']['dice'][0] = 2.0
    with pytest.raises(ValueError, match='dice must be'):
        ImageTable.from_json(columns, 10)


def test_a_calibrator_is_asked_about_its_objects():
    calibrator = fit_calibrator(*zip(*(discs(k) for k in range(40))))
    assert isinstance(calibrator, Calibrator)
    prob, label = zip(*(discs(k) for k in range(100, 140)))
    before, after = (
        image_metrics(table_of(prob, label, estimate))
        for estimate in (estimates, calibrator.scores)
    )
    assert after['ece_object'] < 0.5 * before['ece_object']
    assert after['dice_error'] < before['dice_error']
    estimate, objects = calibrator.judge(prob[0])
    scores = calibrator.scores(prob[0], label[0])
    assert scores.expected.tolist() == [estimate.dice]
    assert scores.objects[0][:, 0].tolist() == objects.probability.tolist()


def test_what_is_ignored_may_hold_anything():
    calibrator = fit_calibrator(*zip(*(discs(k) for k in range(40))))
    prob, label = discs(100)
    label[:3] = 255
    prob[:3] = 0
    odd = prob.copy()
    odd[0], odd[1], odd[2] = np.nan, 7, -np.inf
    for estimate in (estimates, calibrator.scores):
        one, two = estimate(prob, label), estimate(odd, label)
        assert np.array_equal(one.objects, two.objects)
        assert (one.dice, one.expected) == (two.dice, two.expected)
        with pytest.raises(ValueError, match='NaN'):
            estimate(odd, np.zeros_like(label))


def test_a_byte_is_not_ignored_by_another_number_modulo_256():
    prob, label = scenes()
    label = np.where(label == 255, 0, label).astype(np.uint8)

    tables = [estimates(prob[0], label[0], index) for index in (256, 255)]
    assert tables[0].dice == tables[1].dice
    assert tables[0].pixels == tables[1].pixels


def test_without_anything_to_measure_metrics_are_nan():
    nothing = np.full((2, 8, 8), 0.1)
    label = np.ones((2, 8, 8))
    found = image_metrics(table_of(nothing, label))
    assert not {'ece_object', 'dice_error', 'aurc'} & found.keys()


def test_images_that_are_equally_sure_have_no_order():
    score = np.array([0.9, 0.5, 0.5, 0.5, 0.1])
    risk = np.array([0.0, 0.3, 0.6, 0.9, 1.0])
    expected = np.mean([0, 0.6 / 2, 1.2 / 3, 1.8 / 4, 2.8 / 5])
    for order in itertools.permutations(range(5)):
        order = list(order)
        assert aurc(score[order], risk[order]) == pytest.approx(expected)
