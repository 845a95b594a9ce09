import numpy as np
import pytest
import torch

from mmaslp.metrics import ScoreTable
from mmaslp.metrics.errors import average_precision, ks_error, roc_auc
from tests.test_metrics.pixels import eight_bit, filled


def test_scikit_learn():
    sk = pytest.importorskip('sklearn.metrics')
    prob, label = eight_bit()
    histogram = filled(prob, label)
    found, scores = histogram.compute(), histogram.pixels().score_table('positive')
    exact = prob.double().numpy()
    assert found['brier'] == pytest.approx(sk.brier_score_loss(label, exact), abs=1e-7)
    clamped = exact.clip(1e-7, 1 - 1e-7)
    assert found['nll'] == pytest.approx(sk.log_loss(label, clamped), abs=3e-7)
    assert roc_auc(scores) == pytest.approx(sk.roc_auc_score(label, exact), abs=1e-12)
    assert average_precision(scores) == pytest.approx(
        sk.average_precision_score(label, exact), abs=1e-12
    )


def test_one_class_only():
    prob = torch.tensor([0.1, 0.2, 0.7])
    histogram = filled(prob, torch.zeros(3))
    found = histogram.compute(mode='positive')
    assert found['ece'] == pytest.approx(1 / 3, abs=1e-5)
    assert found['acc'] == 0
    assert np.isnan(average_precision(histogram.pixels().score_table('positive')))
    assert np.isnan(roc_auc(histogram.pixels().score_table('positive')))


def test_ks_is_the_largest_running_gap():
    # c - r: 0.6 - 0, 0.7 - 1, 0.8 - 0; equal scores enter together.
    table = ScoreTable(
        np.array([6, 7, 8]), np.array([1, 1, 2]), np.array([0, 1, 1]), unit=10
    )
    assert ks_error(table) == pytest.approx((0.6 - 0.3 + 0.6) / 4)
    empty = ScoreTable(*np.zeros((3, 0), np.int64), unit=10)
    assert np.isnan(ks_error(empty))
