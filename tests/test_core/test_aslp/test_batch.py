import numpy as np
import pytest
import torch

from mmaslp.core import BatchDraw, DrawSlot
from mmaslp.core.aslp.batch import independent_draw


def draw_of(num_images):
    return BatchDraw(
        alpha=torch.zeros(num_images),
        perturbed=torch.zeros(num_images, dtype=torch.bool),
        keys=np.arange(num_images, dtype=np.uint64),
    )


def test_margins_are_averaged_by_the_weights_of_the_losses():
    draw = draw_of(2)
    assert draw.margin is None and len(draw) == 2
    draw.record(torch.tensor([1.0, 2.0]))
    draw.record(torch.tensor([3.0, -2.0], dtype=torch.float16), weight=0.5)
    assert draw.margin.tolist() == pytest.approx([2.5 / 1.5, 1.0 / 1.5])
    assert draw.margin.dtype == torch.float32


@pytest.mark.parametrize('weight', [0.0, -2.0])
def test_weights_of_losses_that_subtract_or_count_for_nothing(weight):
    draw = draw_of(1)
    draw.record(torch.tensor([4.0]), weight)
    assert draw.margin.item() == pytest.approx(4.0)


def test_a_slot_holds_one_draw_until_it_is_taken():
    slot, draw = DrawSlot(), draw_of(1)
    assert slot.take() is None
    slot.draw = draw
    assert slot.take() is draw and slot.draw is None


def test_independent_draws_follow_the_level_and_the_global_seed():
    torch.manual_seed(0)
    one = independent_draw(0.3, 20_000)
    torch.manual_seed(0)
    other = independent_draw(0.3, 20_000)
    assert torch.equal(one.perturbed, other.perturbed)
    assert np.array_equal(one.keys, other.keys)
    assert one.perturbed.float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert one.alpha.tolist() == pytest.approx([0.3] * 20_000) and one.rows is None
