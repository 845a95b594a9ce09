import math

import numpy as np
import pytest
import torch

from mmaslp.core import CalibrationHistogram
from mmaslp.core.calibration.logit_histogram import LogitHistogram
from mmaslp.core.calibration.temperature import check_temperature, fit_temperature


def sample(temperature, num=20000, scale=4.0, seed=0):
    """Logits that sigmoid(z / T) describes."""
    generator = torch.Generator().manual_seed(seed)
    logit = scale * torch.randn(num, generator=generator)
    prob = torch.sigmoid(logit.double() / temperature)
    label = torch.rand(num, generator=generator, dtype=torch.float64) < prob
    return logit, label.long()


def counted(logit, label):
    histogram = LogitHistogram()
    histogram.update(logit, label)
    return histogram


def exact_nll(logit, label, inverse):
    margin = ((2 * label - 1) * logit.double()).numpy()
    return np.logaddexp(0, -inverse * margin).mean()


def exact_temperature(logit, label):
    optimize = pytest.importorskip('scipy.optimize')
    found = optimize.minimize_scalar(
        lambda log: exact_nll(logit, label, math.exp(log)),
        bounds=(-6, 6),
        method='bounded',
        options=dict(xatol=1e-10),
    )
    return math.exp(-found.x)


CASES = pytest.mark.parametrize(
    ('temperature', 'scale'),
    [(1.0, 4.0), (0.4, 1.0), (2.5, 6.0), (8.0, 30.0), (40.0, 80.0)],
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


def test_too_many_large_logits_are_an_error():
    logit, label = torch.full((2**19,), 1e6), torch.zeros(2**19, dtype=torch.long)
    histogram = counted(logit, label)
    for _ in range(7):
        histogram.update(logit, label)
    with pytest.raises(ValueError, match='more than can be counted'):
        histogram.update(logit, label)
    assert histogram.count == 2**22 and histogram.mean_wrong == 1e6
    with pytest.raises(ValueError, match='more than can be counted'):
        histogram.merge(histogram)


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


@CASES
def test_nll_and_ece_within_the_stated_bounds(temperature, scale):
    logit, label = sample(temperature, scale=scale)
    histogram = counted(logit, label)
    beyond = (logit.abs() > histogram.LIMIT).double().mean().item()
    for t in (1.0, temperature):
        width, end = 1 / histogram.PER_UNIT, math.exp(-histogram.LIMIT / t) * beyond
        error = abs(histogram.nll(t) - exact_nll(logit, label, 1 / t))
        assert error <= width / 4 / t + end + 1e-6 / t
        pixels = CalibrationHistogram()
        pixels.update(torch.sigmoid(logit.double() / t), label)
        # 1e-3: pixels of cells that an edge cuts.
        assert histogram.ece(t) == pytest.approx(
            pixels.compute()['ece'], abs=width / 8 / t + end + 1e-3
        )


def test_ends_keep_the_linear_part_of_the_loss():
    logit = torch.tensor([400.0, -300.0, 256.0, -256.0, 1.0])
    label = torch.tensor([0, 1, 0, 1, 1])
    histogram = counted(logit, label)
    expected = exact_nll(logit, label, 1.0)
    assert histogram.nll() == pytest.approx(expected, abs=1e-4)
    assert histogram.mean_wrong == pytest.approx(1212 / 5)


def test_every_pixel_stays_on_its_side_of_the_decision():
    tiny = torch.finfo(torch.float32).tiny
    logit = torch.tensor([-tiny, 0.0, tiny, 1.0])
    for label, accuracy in (([0, 0, 1, 1], 1.0), ([1, 1, 0, 1], 0.25)):
        histogram = counted(logit, torch.tensor(label))
        # At T = infinity all confidences are 0.5: the gap is that of the accuracy.
        assert histogram.ece(1e12, bins=1) == pytest.approx(abs(accuracy - 0.5))
        assert histogram.count == 4


def test_merging_is_exact_and_memory_does_not_grow():
    logit, label = sample(2.0)
    whole = counted(logit, label)
    parts = LogitHistogram()
    for z, y in zip(logit.split(777), label.split(777)):
        parts.merge(counted(z, y))
    assert torch.equal(parts.counts, whole.counts)
    assert torch.equal(parts.wrong, whole.wrong)
    assert parts.counts.nbytes < 9e6
    parts.nll()  # the table must not outlive the next update
    parts.update(logit, 1 - label)
    assert parts.count == 2 * whole.count
    assert parts.nll() != whole.nll()


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
        ([1.0, 2.0], [0], 'shape'),
        ([1, 2], [0, 1], 'floating point'),
        ([math.nan, 2.0], [0, 1], 'finite'),
        ([math.inf, 2.0], [0, 1], 'finite'),
        ([1e7, 2.0], [0, 1], 'overflow'),
        ([1.0, 2.0], [0, 7], 'holds 7'),
    ],
)
def test_bad_pixels(logit, label, message):
    histogram = LogitHistogram()
    with pytest.raises(ValueError, match=message):
        histogram.update(torch.tensor(logit), torch.tensor(label))
    assert histogram.count == 0


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
    with pytest.raises(ValueError, match='finite number above 0'):
        check_temperature(value)
