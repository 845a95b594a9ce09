"""Pixels that several test files measure."""

import numpy as np
import torch

from mmaslp.metrics import CalibrationHistogram, ImageRow, ImageTable


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
    one, two = one.state_dict(), two.state_dict()
    return all(
        torch.equal(one[k], two[k]) if torch.is_tensor(one[k]) else one[k] == two[k]
        for k in one
    )


def images(number, seed=0, gain=1.0, size=200, bins=10, mode='top_label'):
    """Records of images of different sizes, and the histogram of all."""
    rng = np.random.default_rng(seed)
    total, records = CalibrationHistogram(), []
    for i in range(number):
        logit = rng.normal(rng.normal(0, 1), 2, size + 10 * i)
        label = rng.random(logit.shape) < 1 / (1 + np.exp(-logit))
        image = CalibrationHistogram()
        image.update(1 / (1 + np.exp(-gain * logit)), label)
        total.merge(image)
        records.append(ImageRow.of(f'{i}.png', image, bins, mode))
    return ImageTable.of_rows(records, bins), total
