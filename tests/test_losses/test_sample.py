import numpy as np
import pytest
import torch

from mmaslp.losses import Sample


def test_margins_are_averaged_by_the_weights_of_the_losses():
    sample = Sample(torch.zeros(2), torch.zeros(2).bool(), np.zeros(2, np.uint64))
    assert sample.margin is None
    assert len(sample) == 2
    sample.record(torch.tensor([1.0, 2.0]))
    sample.record(torch.tensor([3.0, -2.0], dtype=torch.float16), weight=-0.5)
    assert sample.margin.tolist() == pytest.approx([2.5 / 1.5, 1.0 / 1.5])
    assert sample.margin.dtype == torch.float32
    sample.record(torch.tensor([9.0, 9.0]), weight=0.0)
    assert sample.margin.tolist() == pytest.approx([2.5 / 1.5, 1.0 / 1.5])
