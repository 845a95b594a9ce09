import numpy as np
import pytest
import torch

from mmaslp.core import CalibrationHistogram
from mmaslp.losses import BrierLoss


@pytest.mark.parametrize('channels', [1, 2])
def test_value(batch, both_logits, channels):
    logits, labels = batch(channels, ignore=True)
    low, high = both_logits(logits)
    prob = 1 / (1 + np.exp(low - high))
    valid = labels.numpy() != 255
    error = (prob - labels.numpy())[valid] ** 2
    assert BrierLoss()(logits, labels).item() == pytest.approx(error.mean(), rel=1e-6)


def test_is_the_figure_of_the_metric(batch):
    logits, labels = batch(ignore=True)
    histogram = CalibrationHistogram()
    histogram.update(torch.sigmoid(logits[:, 0]), labels, ignore_index=255)
    figure = histogram.compute()['brier']
    assert BrierLoss()(logits, labels).item() == pytest.approx(figure, abs=1e-5)


def test_small_numbers():
    logits = torch.log(torch.tensor([4.0, 1.0, 1 / 3])).view(1, 1, 1, 3)  # p .8 .5 .25
    labels = torch.tensor([[[1, 0, 1]]])
    expected = torch.tensor([[[0.04, 0.25, 0.5625]]])
    torch.testing.assert_close(BrierLoss(reduction='none')(logits, labels), expected)
