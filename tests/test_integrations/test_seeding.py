import torch

from mmaslp.common.draws import generator_seed, seed_torch


def test_the_numbers_are_those_of_torch():
    torch.manual_seed(generator_seed(3, 7, 1))
    expected = torch.rand(3)
    seed_torch(3, 7, 1)
    assert torch.equal(torch.rand(3), expected)
