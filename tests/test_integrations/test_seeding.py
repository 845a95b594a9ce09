import torch

from mmaslp.common.draws import seed_torch


def test_the_numbers_are_those_of_torch():
    torch.manual_seed(4710745428533920381)  # what SplitMix64 makes of 3, 7 and 1
    expected = torch.rand(3)
    seed_torch(3, 7, 1)
    assert torch.equal(torch.rand(3), expected)
