import math

import numpy as np
import pytest
import torch

from mmaslp.levels.bands import MAX_STRENGTH, follow_gaps

EQUAL = [0.25] * 4
# Made at commit b8dd178 (version 0.2) with FB() by region, beta 2: 2 * profile.
NAN = math.nan
GOLDEN = [
    ([0.0095, 0.0861, 0.0425, 0.101, 0.1064], [0.02, 0.07, 0.15, 0.2, 0.56],
     [0.626, 0.605, 0.927, 0.701, 0.691],
     [0.0191, 0.037366666666666666, 0.04535, 0.05848333333333333, 0.07003333333333332]),
    ([0.1989, 0.0676, 0.1591, 0.0691, 0.1098], [0.004, 0.08, 0.15, 0.2, 0.566],
     [0.659, 0.848, 0.939, 0.804, 0.889],
     [0.0712015873015873, 0.09324285714285714, 0.10615039682539683, 0.12165,
      0.13825833333333332]),
    ([0.1179, -0.034, 0.1396, 0.0978, 0.0253], [0.02, 0.07, 0.15, 0.2, 0.56],
     [0.612, 0.938, 0.784, 0.88, 0.943],
     [0.14141825396825397, 0.12400000000000011, 0.18025039682539684,
      0.19524999999999998, 0.1140000000000001]),
]  # fmt: skip


def moved(levels, gaps, shares=EQUAL, accuracies=None, gain=1.0):
    accuracies = [NAN] * len(levels) if accuracies is None else accuracies
    levels = torch.tensor(levels, dtype=torch.float64)
    return follow_gaps(levels, gaps, shares, accuracies, gain).tolist()


def test_levels_are_those_of_version_0_2():
    levels, gaps = [0.0] * 5, []
    for gap, shares, accuracies, expected in GOLDEN:
        gaps = [*gaps, gap][-3:]
        levels = moved(levels, gaps, shares, accuracies)
        assert levels == pytest.approx(expected, abs=1e-12)


def test_a_gap_also_moves_the_bands_beside_it():
    found = moved([0.2] * 5, [(0.0, 0.0, 0.12, 0.0, 0.0)], [0.2] * 5)
    assert found == pytest.approx([0.2, 0.22, 0.24, 0.22, 0.2])


def test_bands_move_by_the_median_of_three_gaps():
    gaps = [(0.06, 0.0), (0.9, -0.03), (0.03, -0.9)]  # one spike each
    # Medians 0.06 and -0.03; 2 / 3 of the gaps that are shared with the other band.
    first = 0.2 + 2 / 3 * (0.75 * 0.06 - 0.25 * 0.03)
    second = 0.2 + 2 / 3 * (0.25 * 0.06 - 0.75 * 0.03)
    assert moved([0.2] * 2, gaps, [0.5] * 2) == pytest.approx([first, second])


def test_thin_bands_share_a_gap():
    gaps, share = [(0.5, 0.02, 0.04, 0.3)], (0.005, 0.495, 0.495, 0.005)
    inner = (0.5 * 0.005 + 0.02 * 0.495) / 0.5
    outer = (0.04 * 0.495 + 0.3 * 0.005) / 0.5
    shared = (inner, (3 * inner + outer) / 4, (inner + 3 * outer) / 4, outer)
    expected = [0.2 + 2 / 3 * gap for gap in shared]
    assert moved([0.2] * 4, gaps, share) == pytest.approx(expected)


def test_the_expected_target_is_not_below_the_accuracy():
    found = moved([0.2] * 4, [(0.3,) * 4], EQUAL, (0.7, 0.95, 1.0, NAN), gain=9.0)
    free = 0.2 + 9 / 19 * 2 * 0.3
    assert found == pytest.approx([min(0.6, free), 0.1, 0.0, free])
    assert moved([0.9] * 4, [(0.5,) * 4], gain=9.0) == [MAX_STRENGTH] * 4
    # A network that predicts nothing for once has all pixels in the last band.
    share, accuracy = (0.0, 0.005, 0.005, 0.99), (NAN, 0.999, 0.999, 0.98)
    found = moved([0.2] * 4, [(0.3,) * 4], share, accuracy, gain=9.0)
    assert min(found[:3]) > 0.4
    assert found[3] == pytest.approx(0.04)


@pytest.mark.parametrize('gain', [0.1, 1.0, 1e6])
@pytest.mark.parametrize('lag', [0.0, 0.9])
def test_it_converges_for_every_gain_and_lag(gain, lag):
    """Bands that a network mixes: each answers its own level and its neighbour's."""
    response = np.array([[0.8, 0.2, 0.0], [0.15, 0.7, 0.15], [0.0, 0.2, 0.8]])
    levels, confidence = torch.full((3,), 0.2, dtype=torch.float64), np.full(3, 0.9)
    natural, accuracy = np.array([0.95, 0.93, 0.97]), np.array([0.8, 0.85, 0.9])
    recent = []
    for _ in range(800):
        target = natural - response @ levels.numpy() / 2
        confidence = lag * confidence + (1 - lag) * target
        recent = [*recent, tuple(confidence - accuracy)][-3:]
        levels = follow_gaps(levels, recent, [1 / 3] * 3, [NAN] * 3, gain)
    assert np.abs(confidence - accuracy).max() < 1e-4
