import numpy as np
import pytest
import torch

from mmaslp.core.levels import Sample


def sample_of(num_images):
    return Sample(
        alpha=torch.zeros(num_images),
        perturbed=torch.zeros(num_images, dtype=torch.bool),
        keys=np.arange(num_images, dtype=np.uint64),
    )


def test_margins_are_averaged_by_the_weights_of_the_losses():
    sample = sample_of(2)
    assert sample.margin is None and len(sample) == 2
    sample.record(torch.tensor([1.0, 2.0]))
    sample.record(torch.tensor([3.0, -2.0], dtype=torch.float16), weight=0.5)
    assert sample.margin.tolist() == pytest.approx([2.5 / 1.5, 1.0 / 1.5])
    assert sample.margin.dtype == torch.float32


@pytest.mark.parametrize('weight', [0.0, -2.0])
def test_weights_of_losses_that_subtract_or_count_for_nothing(weight):
    sample = sample_of(1)
    sample.record(torch.tensor([4.0]), weight)
    assert sample.margin.item() == pytest.approx(4.0)
