import torch

from mmaslp.training.seeding import seed_torch


def test_the_numbers_are_those_of_torch():
    torch.manual_seed(2**62 + 5)
    expected = torch.rand(3)
    seed_torch(2**62 + 5)
    assert torch.equal(torch.rand(3), expected)
