"""Maps of an over-confident network, made without one."""

import numpy as np
from scipy.ndimage import gaussian_filter


def maps(number=40, size=48, sharp=3.0, seed=0):
    """``(number, size, size)`` float32 probabilities of logits ``sharp`` times the true
    ones, and uint8 labels."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(number, size, size))
    true = np.stack([gaussian_filter(each, 5) * 30 - 1 for each in noise])
    label = rng.random(true.shape) < 1 / (1 + np.exp(-true))
    return (1 / (1 + np.exp(-sharp * true))).astype(np.float32), label.astype(np.uint8)
