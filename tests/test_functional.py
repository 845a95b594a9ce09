import doctest

import numpy as np
import pytest
import torch

import mmaslp
from mmaslp import functional
from mmaslp.functional import (
    band_calibration_error,
    brier_score,
    calibration_error,
    equal_mass_calibration_error,
)
from mmaslp.metrics import BandTable


def maps(seed=0, shape=(3, 40, 30)):
    """Over-confident probabilities of 16 bits off the edges of bins, and labels."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(size=shape) * 2
    label = (rng.random(shape) < 1 / (1 + np.exp(-logit))).astype(np.uint8)
    prob = 1 / (1 + np.exp(-1.8 * logit))
    prob = np.where(abs(prob * 60 - np.rint(60 * prob)) < 1e-3, 0.513, prob)
    return np.rint(prob * 65535) / 65535, label


def confidence(prob, label, mode):
    """Flat confidence and outcome by their definition."""
    if mode == 'positive':
        return prob.ravel(), label.ravel()
    right = (prob > 0.5) == (label == 1)
    return np.maximum(prob, 1 - prob).ravel(), right.ravel()


def error(conf, right, bins, norm):
    gaps = [(conf - right)[bins == k] for k in np.unique(bins)]
    weight = np.array([len(gap) for gap in gaps]) / len(conf)
    size = np.abs([gap.mean() for gap in gaps])
    found = dict(l1=weight @ size, l2=np.sqrt(weight @ size**2), max=size.max())
    return found[norm]


def test_it_is_there_without_an_import():
    assert mmaslp.functional is functional
    assert doctest.testmod(functional).failed == 0


@pytest.mark.parametrize('norm', ['l1', 'l2', 'max'])
@pytest.mark.parametrize('mode', ['top_label', 'positive'])
@pytest.mark.parametrize('n_bins', [10, 15])
def test_bins_of_equal_width_and_of_equal_mass(norm, mode, n_bins):
    prob, label = maps()
    conf, right = confidence(prob, label, mode)
    expected = error(conf, right, np.ceil(conf * n_bins), norm)
    options = dict(n_bins=n_bins, norm=norm, mode=mode)
    found = calibration_error(prob, label, **options)
    assert found == pytest.approx(expected, abs=1e-9)
    rank = np.searchsorted(np.sort(conf), conf)  # ties stay together
    expected = error(conf, right, rank * n_bins // len(conf), norm)
    found = equal_mass_calibration_error(prob, label, **options)
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize('norm', ['l1', 'l2', 'max'])
@pytest.mark.parametrize('n_bins', [10, 15])
def test_the_positive_mode_is_that_of_torchmetrics(norm, n_bins):
    theirs = pytest.importorskip('torchmetrics.functional.classification')
    prob, label = map(torch.from_numpy, maps())
    label = torch.where(torch.rand(label.shape) < 0.1, 7, label.long())
    options = dict(n_bins=n_bins, norm=norm, ignore_index=7)
    expected = theirs.binary_calibration_error(prob, label, **options).item()
    found = calibration_error(prob, label, mode='positive', **options)
    assert found == pytest.approx(expected, abs=1e-5)


def test_bands_and_brier_score():
    prob, label = maps()
    table = BandTable()
    table.update(prob, label)
    computed = table.compute()
    assert band_calibration_error(prob, label) == computed['ece_band']
    found = band_calibration_error(prob, label, border='true')
    assert found == computed['ece_band_true']
    expected = ((prob - label) ** 2).mean()
    assert brier_score(prob, label) == pytest.approx(expected, abs=8e-6)
