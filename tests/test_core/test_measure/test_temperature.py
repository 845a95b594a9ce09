import math

import pytest
import torch

from mmaslp.core.measure.logit_histogram import LogitHistogram
from mmaslp.core.measure.temperature import check_temperature, fit_temperature
from tests.test_core.test_measure.logit_samples import (
    CASES,
    counted,
    exact_temperature,
    sample,
)


@CASES
def test_fit_is_that_of_the_raw_logits(temperature, scale):
    logit, label = sample(temperature, scale=scale)
    fitted = fit_temperature(counted(logit, label))
    exact = exact_temperature(logit, label)
    # Of logits beyond the ends only the sum of the wrong ones is kept.
    few_digits = (logit.abs() >= LogitHistogram.LIMIT).any()
    assert fitted == pytest.approx(exact, rel=1e-3 if few_digits else 2e-5)


@pytest.mark.parametrize('share', [0.001, 0.01, 0.2])
def test_fit_where_many_logits_are_beyond_the_ends(share):
    """Confident and right: the optimum is well known, the limits of T are not."""
    logit, label = sample(1.0, scale=2.0)
    far = int(share * len(logit))
    logit[:far] = torch.where(label[:far] == 1, 300.0, -300.0)
    histogram = counted(logit, label)
    fitted = fit_temperature(histogram)
    assert fitted == pytest.approx(exact_temperature(logit, label), rel=1e-4)


def test_fit_agrees_with_lbfgs():
    logit, label = sample(3.0, scale=8.0)
    inverse = torch.ones((), dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([inverse], max_iter=200, line_search_fn='strong_wolfe')

    def loss():
        solver.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(
            inverse * logit.double(), label.double()
        )
        value.backward()
        return value

    solver.step(loss)
    fitted = fit_temperature(counted(logit, label))
    assert 1 / fitted == pytest.approx(inverse.item(), rel=1e-5)


@CASES
def test_known_temperature_is_recovered(temperature, scale):
    logit, label = sample(temperature, num=200000, scale=scale, seed=1)
    # Five standard errors of 1 / T: the Fisher information is N * mean(z^2 p (1 - p)).
    prob = torch.sigmoid(logit.double() / temperature)
    information = (logit.double() ** 2 * prob * (1 - prob)).sum().item()
    fitted = fit_temperature(counted(logit, label))
    assert 1 / fitted == pytest.approx(1 / temperature, abs=5 / math.sqrt(information))


def test_a_fitted_model_is_left_alone():
    logit, label = sample(2.0)
    first = fit_temperature(counted(logit, label))
    again = fit_temperature(counted(logit / first, label))
    assert again == pytest.approx(1, abs=1e-4)


def test_ignored_pixels_and_half_precision():
    logit, label = sample(2.0)
    padded = torch.cat([logit, torch.full((50,), math.nan)])
    labels = torch.cat([label, torch.full((50,), 255)])
    assert torch.equal(counted(padded, labels).counts, counted(logit, label).counts)
    half = counted(logit.half(), label)
    assert fit_temperature(half) == pytest.approx(
        fit_temperature(counted(logit, label)), rel=1e-3
    )


@pytest.mark.parametrize(
    ('logit', 'label', 'message'),
    [
        ([], [], 'no pixel'),
        ([1.0, 2.0], [0, 0], 'all 2 pixels are background'),
        ([1.0, 2.0], [1, 1], 'all 2 pixels are foreground'),
        ([-1.0, 2.0], [0, 1], 'T = 0'),
        ([1.0, -2.0], [0, 1], 'T = infinity'),
        ([1.0, 1.0], [0, 1], 'no better than chance'),
        ([4.0, -4.0] * 50 + [-6e4, 6e4], [1, 0] * 51, r'^2 pixels have \|z\| >= 256'),
    ],
)
def test_sets_that_give_no_temperature(logit, label, message):
    histogram = counted(torch.tensor(logit), torch.tensor(label))
    with pytest.raises(ValueError, match=message):
        fit_temperature(histogram)


def test_no_pixels():
    histogram = LogitHistogram()
    with pytest.raises(ValueError, match='no pixel'):
        fit_temperature(histogram)
    assert math.isnan(histogram.nll()) and math.isnan(histogram.ece())
    histogram.update(torch.tensor([2.0, -1.0]), torch.tensor([1, 1]))
    assert histogram.nll() > 0


@pytest.mark.parametrize('value', [0, -1.0, math.inf, math.nan, '2', None, True])
def test_bad_temperatures(value):
    with pytest.raises(ValueError, match='temperature must be a number in'):
        check_temperature(value)
