import doctest
import math

import pytest
import torch

from mmaslp.core import CalibrationHistogram
from mmaslp.core.measure import logit_histogram
from mmaslp.core.measure.logit_histogram import LogitHistogram
from tests.test_core.test_measure.logit_samples import (
    CASES,
    counted,
    exact_nll,
    sample,
)


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


def test_example():
    assert doctest.testmod(logit_histogram, extraglobs=dict(math=math)).failed == 0
