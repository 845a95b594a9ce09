import math

import pytest
import torch

from mmaslp.levels.bands import Best, apply_guard, lower_median

BEST = Best(iou=0.7, iou_se=0.01, acc=0.9, acc_se=0.02)
LEVELS = torch.full((5,), 0.4, dtype=torch.float64)
STEPPED = torch.full((5,), 0.5, dtype=torch.float64)


@pytest.mark.parametrize(
    ('iou', 'acc', 'best'),
    [
        (0.7, 0.9, BEST),
        (0.681, 0.9, BEST),
        (0.7, 0.861, BEST),
        (0.65, 0.9, Best(0.7, math.nan, 0.9, 0.02)),  # of one image nobody knows
        (1.0, 1.0, Best(1.0, 0.0, 1.0, 0.0)),
    ],
)
def test_it_rests_within_the_noise_of_the_best(iou, acc, best):
    levels, reason = apply_guard(LEVELS, STEPPED, iou, acc, best)
    assert torch.equal(levels, STEPPED)
    assert reason is None


@pytest.mark.parametrize(('iou', 'acc'), [(0.679, 0.9), (0.7, 0.859)])
def test_levels_halve_below_the_best(iou, acc):
    levels, reason = apply_guard(LEVELS, STEPPED, iou, acc, BEST)
    assert levels.tolist() == [0.2] * 5
    assert 'below its best' in reason


@pytest.mark.parametrize('iou', [0.0, 0.19, math.nan])
def test_a_network_that_finds_hardly_any_object_has_no_levels(iou):
    levels, reason = apply_guard(LEVELS, STEPPED, iou, 0.9, BEST)
    assert not levels.any()
    assert 'hardly any object' in reason


def test_levels_of_a_weak_network_are_limited_by_its_odds():
    best = Best(0.3, 0.1, 0.9, 0.02)
    levels, reason = apply_guard(LEVELS, STEPPED, 0.3, 0.9, best)
    assert levels.tolist() == pytest.approx([0.3 / 0.7 / 3] * 5)
    assert reason is None


def test_the_best_so_far():
    best = Best().after(0.6, 0.02, 0.95, 0.01).after(0.7, 0.03, 0.9, 0.02)
    assert best == Best(0.7, 0.03, 0.95, 0.01)
    assert best.after(math.nan, 0.0, math.nan, 0.0) == best


@pytest.mark.parametrize(
    ('values', 'expected'),
    [([0.3], 0.3), ([0.3, 0.2], 0.2), ([0.3, 0.1, 0.2], 0.2), ([math.nan, 0.2], 0.0)],
)
def test_lower_median(values, expected):
    assert lower_median(values) == expected
