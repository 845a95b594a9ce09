"""Objects are never ordered worse than by their mean probability beyond chance."""

from dataclasses import asdict

import numpy as np
import pytest
from scipy.special import expit

from mmaslp.calibration import CalibrationTables
from mmaslp.calibration.decisions import IN_ORDER_OF_MEAN, Decisions
from mmaslp.calibration.fitting import cases
from mmaslp.calibration.fitting.decisions import ObjectCandidates, fit_decisions
from mmaslp.calibration.sets import _auc
from tests.test_calibration.object_scenes import discs


def objects(number, noise, seed=0):
    """Features and outcomes: the mean orders objects, its calibrated value less so."""
    rng = np.random.default_rng(seed)
    score = rng.normal(0, 1.5, number)
    real = rng.random(number) < expit(score)
    features = rng.normal(0, 1, (number, 7))
    features[:, 0] = score + rng.normal(0, noise, number)
    features[:, -1] = score + 3  # networks are too sure
    return features, real


def candidates(number, noise, seed=0):
    features, real = objects(number, noise, seed)
    groups = np.arange(number) % 100
    return ObjectCandidates(features, real, groups, groups % 5)


def auroc(candidates, name):
    return 1 - float(candidates.order(name).metrics[0])


@pytest.mark.parametrize('number', [60, 300])
@pytest.mark.parametrize('seed', range(3))
def test_what_orders_worse_than_the_mean_is_not_taken(number, seed):
    measured = candidates(number, 2.0, seed)
    assert measured.choose() == IN_ORDER_OF_MEAN
    assert auroc(measured, IN_ORDER_OF_MEAN) == auroc(measured, 'uncalibrated')
    assert auroc(measured, 'logistic') < auroc(measured, 'uncalibrated')
    loss = measured.losses[IN_ORDER_OF_MEAN].metrics[0]
    assert loss < 0.8 * measured.losses['uncalibrated'].metrics[0]


def test_what_orders_as_well_stays():
    assert candidates(300, 0.0).choose() == 'logistic'


def test_few_objects_are_in_the_order_of_their_mean():
    measured = candidates(40, 2.0)
    assert measured.choose() == 'drawn'
    assert auroc(measured, 'drawn') == pytest.approx(auroc(measured, 'uncalibrated'))


def test_the_order_is_counted_by_pairs_of_one_fold():
    measured = candidates(80, 1.0)
    measured.measure('logistic')
    prob = measured.expected['logistic'].round(1)  # some are equal
    measured.expected['logistic'] = prob

    def by_pairs(kept):
        right = pairs = 0
        for fold in range(5):
            rows = kept & (measured.folds == fold)
            apart = prob[rows & measured.real][:, None] - prob[rows & ~measured.real]
            right += ((apart > 0) + (apart == 0) / 2).sum()
            pairs += apart.size
        return 1 - right / pairs

    order = measured.order('logistic')
    assert order.metrics == pytest.approx(by_pairs(np.ones(80, bool)))
    for group in range(80):
        without = by_pairs(measured.groups != group)
        assert order.without[group] == pytest.approx(without)


def test_a_fit_keeps_the_order_and_its_file_too(monkeypatch):
    """Before, the calibrated mean was taken, and its order with it."""
    tables = CalibrationTables()
    for key in range(60):
        tables.update(*discs(key), key)
    contents = tables.contents
    number = sum(image.num_objects for image in contents)
    features, _ = objects(number, 2.0)
    rng = np.random.default_rng(1)
    real = np.concatenate(
        [np.diff(image.labels_of_objects(), axis=1)[:, 0] > 0 for image in contents]
    )
    # The mean of what is real is larger, but for noise.
    features[:, -1] = np.where(real, 4.0, 2.5) + rng.normal(0, 1, number)
    features[:, 0] = features[:, -1] - 3 + rng.normal(0, 2, number)
    rows = iter(np.split(features, np.cumsum([c.num_objects for c in contents])[:-1]))
    features_of = {image.counts.tobytes(): next(rows) for image in contents}

    def given(image, prob):
        return features_of[image.counts.tobytes()]

    monkeypatch.setattr(cases, 'object_features', given)
    decisions = fit_decisions(contents)
    again = Decisions.from_dict(asdict(decisions))
    for predictor in (decisions.objects, again.objects):
        prob = predictor(features)
        assert predictor.name == IN_ORDER_OF_MEAN
        assert _auc(prob, real) == _auc(features[:, -1], real)
        assert len(np.unique(prob)) == number
        assert 0 < prob.min() < prob.max() < 1
    assert decisions.record['objects']['auroc'].keys() == {
        'uncalibrated',
        'logistic',
        'features',
        IN_ORDER_OF_MEAN,
    }


@pytest.mark.filterwarnings('error')
def test_an_order_that_no_fold_shows_is_unknown_and_that_of_the_mean():
    """Before, a fit had a nan and could not be saved."""
    features, real = objects(100, 2.0)
    folds = np.where(real, 0, 1)
    groups = 2 * (np.arange(100) % 20) + folds
    measured = ObjectCandidates(features, real, groups, folds)
    assert np.isnan(auroc(measured_mean(measured), 'uncalibrated'))
    assert measured.choose() == IN_ORDER_OF_MEAN


def measured_mean(candidates):
    candidates.measure('uncalibrated')
    return candidates
