import numpy as np
import pytest
import torch


@pytest.fixture
def batch():
    """Random logits, labels of both classes and, on demand, pixels to be ignored."""

    def make(channels=1, ignore=False, points=False, dtype=torch.float32):
        generator = torch.Generator().manual_seed(0)
        space = (40,) if points else (6, 9)
        logits = 3 * torch.randn(4, channels, *space, generator=generator)
        labels = torch.randint(0, 2, (4, *space), generator=generator)
        if ignore:
            labels[torch.rand(labels.shape, generator=generator) < 0.3] = 255
        return logits.to(dtype), labels

    return make


@pytest.fixture
def both_logits():
    """The logits of both classes in float64, of one channel those of (0, z)."""

    def make(logits):
        logits = logits.detach().double().numpy()
        if logits.shape[1] == 2:
            return logits[:, 0], logits[:, 1]
        return np.zeros_like(logits[:, 0]), logits[:, 0]

    return make
