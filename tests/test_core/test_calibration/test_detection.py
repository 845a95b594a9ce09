import numpy as np
import pytest

from mmaslp.core.calibration.detection import detection_auroc, detection_interval


@pytest.mark.parametrize('decimals', [0, 1, 6])
@pytest.mark.parametrize('seed', range(5))
def test_auroc_is_that_of_scikit_learn_with_ties_too(decimals, seed):
    metrics = pytest.importorskip('sklearn.metrics')
    rng = np.random.default_rng(seed)
    score = rng.normal(size=80).round(decimals)
    positive = rng.random(80) < 0.2
    expected = metrics.roc_auc_score(positive, score)
    assert detection_auroc(score, positive) == pytest.approx(expected, abs=1e-12)


def test_auroc_by_hand():
    positive = np.array([True, True, False, False, False])
    assert detection_auroc(np.array([2, 3, 0, 1, 1]), positive) == 1
    assert detection_auroc(np.array([0, 1, 2, 2, 3]), positive) == 0
    assert detection_auroc(np.full(5, 0.3), positive) == 0.5
    # of 6 pairs, 3 are won and 1 is a draw
    assert detection_auroc(np.array([1, 3, 0, 1, 5]), positive) == 3.5 / 6
    assert np.isnan(detection_auroc(np.arange(3), np.zeros(3, bool)))


def test_interval_covers_the_true_auroc_and_repeats():
    rng = np.random.default_rng(0)
    # Two normal distributions one standard deviation apart: AUROC = Phi(1 / sqrt 2).
    true = 0.7602
    covered = 0
    for _ in range(40):
        positive = np.arange(160) < 40
        score = rng.normal(size=160) + positive
        low, high = detection_interval(score, positive, resamples=200)
        assert low < detection_auroc(score, positive) < high
        covered += low <= true <= high
    assert 33 <= covered <= 40
    same = detection_interval(score, positive, resamples=200)
    assert same == (low, high)
    assert same != detection_interval(score, positive, resamples=200, seed=1)


def test_interval_needs_two_of_each_kind():
    score = np.arange(4.0)
    for positive in ([1, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]):
        assert np.isnan(detection_interval(score, np.array(positive, bool))).all()


def test_wrong_arguments():
    with pytest.raises(ValueError, match='one shape'):
        detection_auroc(np.zeros(3), np.zeros(2, bool))
    with pytest.raises(ValueError, match='not finite'):
        detection_auroc(np.array([0, np.nan]), np.array([True, False]))
    with pytest.raises(ValueError, match='resamples'):
        detection_interval(np.zeros(2), np.array([True, False]), resamples=0)
