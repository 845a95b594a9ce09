"""Pixels that several test files measure."""

import numpy as np
import torch

from mmaslp.evaluation.evaluator import Evaluator
from mmaslp.metrics import CalibrationHistogram


def filled(prob, label, **kwargs):
    histogram = CalibrationHistogram()
    histogram.update(prob, label, **kwargs)
    return histogram


def smooth(n=20000, seed=0, sharpness=2.0):
    """Float probabilities that are over-confident by a known factor."""
    generator = torch.Generator().manual_seed(seed)
    logit = torch.randn(n, generator=generator) * sharpness
    label = torch.rand(n, generator=generator) < torch.sigmoid(logit * 0.6)
    return torch.sigmoid(logit), label.long()


def eight_bit(n=20000, seed=0):
    prob, label = smooth(n, seed)
    return (prob * 255).round() / 255, label


def same(one, two):
    return torch.equal(one.counts, two.counts) and one.nll == two.nll


def images(number, seed=0, gain=1.0, size=200, bins=10, mode='top_label'):
    """Table of images of different sizes, and the histogram of all."""
    rng = np.random.default_rng(seed)
    evaluator = Evaluator(bins, mode)
    for i in range(number):
        logit = rng.normal(rng.normal(0, 1), 2, (10, size // 10 + i))
        label = rng.random(logit.shape) < 1 / (1 + np.exp(-logit))
        evaluator.add(f'{i}.png', 1 / (1 + np.exp(-gain * logit)), label)
    return evaluator.result('', '', resamples=0).images, evaluator.raw.histogram


def table_of(*images, **options):
    """Table of images, each a probability and a label."""
    evaluator = Evaluator(**options)
    for number, image in enumerate(images):
        evaluator.add(str(number), *image)
    return evaluator.result('', '', resamples=0).images
