import torch

from mmaslp.common.arrays import apply_protocol


def test_released_protocol():
    prob = torch.tensor([[0.2, 0.3], [0.45, 0.6]])
    found = apply_protocol(prob, 'released')
    assert torch.equal((found * 255).round(), torch.tensor([[0.0, 64], [159, 255]]))
    assert torch.equal(apply_protocol(prob, 'raw'), prob)
    flat = apply_protocol(torch.full((2, 2), 0.7), 'released')
    assert torch.equal(flat, torch.zeros(2, 2))
    # Pixels that are left out do not set the stretch, and may hold anything.
    marked = torch.cat([prob, torch.tensor([[1.0, float('nan')]])])
    valid = torch.tensor([[True, True], [True, True], [False, False]])
    assert torch.equal(apply_protocol(marked, 'released', valid)[:2], found)
    assert apply_protocol(marked, 'released', valid & False) is marked
    assert apply_protocol(torch.zeros(0, 3), 'released').shape == (0, 3)
