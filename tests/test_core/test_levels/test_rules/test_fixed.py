import torch

from mmaslp.core import Fixed, Validation


def test_levels_stay_and_the_input_is_left_alone():
    alpha = torch.tensor([0.1, 0.2], dtype=torch.float64)
    moved = Fixed().step(
        alpha, torch.ones(2), beta=2.0, validation=Validation(accuracy=0.9)
    )
    assert torch.equal(moved, alpha) and moved.data_ptr() != alpha.data_ptr()
    assert not Fixed.learns and Fixed().settings() == {'rule': 'fixed'}
