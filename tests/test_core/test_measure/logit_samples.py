"""Logits with a known temperature, and float64 solutions to compare with."""

import math

import numpy as np
import pytest
import torch

from mmaslp.core.measure.logit_histogram import LogitHistogram

CASES = pytest.mark.parametrize(
    ('temperature', 'scale'),
    [(1.0, 4.0), (0.4, 1.0), (2.5, 6.0), (8.0, 30.0), (40.0, 80.0)],
)


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
