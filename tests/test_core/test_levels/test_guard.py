import math

import pytest

from mmaslp.core.levels.guard import Quality, allowed_share, best_of

GOOD = Quality(iou=0.7, iou_se=0.01, acc=0.9, acc_se=0.01, recall=0.8)


def with_iou(iou, acc=0.9, recall=0.8, se=0.01):
    return Quality(iou, se, acc, se, recall)


def test_levels_stay_while_the_masks_are_within_noise_of_their_best():
    assert allowed_share(GOOD, GOOD) == 1.0
    assert allowed_share(with_iou(0.695), GOOD) == 1.0
    assert allowed_share(with_iou(math.nan, se=math.nan), GOOD) == 1.0


@pytest.mark.parametrize('now', [with_iou(0.4), with_iou(0.7, acc=0.7)])
def test_levels_step_back_where_masks_get_worse(now):
    assert 0.0 < allowed_share(now, GOOD) < 1.0


def test_a_network_that_finds_nothing_allows_no_level():
    assert allowed_share(with_iou(0.0, recall=0.0), GOOD) == 0.0


def test_the_best_so_far():
    best = best_of(None, GOOD)
    best = best_of(best, with_iou(0.6, acc=0.95, recall=0.9))
    assert (best.iou, best.acc, best.recall) == (0.7, 0.95, 0.8)
    nothing = Quality(math.nan, math.nan, 0.5, 0.1, math.nan)
    assert best_of(nothing, GOOD) == GOOD
