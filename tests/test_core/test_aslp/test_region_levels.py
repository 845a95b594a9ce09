import pytest
import torch

from mmaslp.core import FB, Measured
from mmaslp.core.aslp.region_levels import RegionLevels, check_regions

SHARES = (0.4, 0.3, 0.2, 0.0, 0.1)


def levels(*values):
    found = RegionLevels(0.0)
    found.profile.copy_(torch.tensor(values, dtype=torch.float64))
    return found


def test_the_mean_level_stands_behind_those_of_the_bands():
    found = levels(0.4, 0.3, 0.2, 0.1, 0.0)
    assert found.with_mean(None).tolist() == pytest.approx([0.4, 0.3, 0.2, 0.1, 0, 0.2])
    assert found.with_mean(SHARES)[-1].item() == pytest.approx(0.16 + 0.09 + 0.04)


def test_a_step_moves_the_levels_in_place():
    gaps = (-0.3, 0.06, 0.06, 0.06, 0.0)
    measured = Measured(0.9, 0.9, region_gaps=(gaps,), region_share=(0.2,) * 5)
    found = levels(0.05, 0.1, 0.1, 0.0, 0.0)
    live = found.profile
    found.step(FB(), 2.0, measured)
    assert live.tolist() == pytest.approx([0.0, 0.09, 0.12, 0.015, 0.005])
    assert live.data_ptr() == found.profile.data_ptr()


def test_bands_that_stay_under_confident():
    found = levels(0.0, 0.1, 0.0, 0.0, 0.0)
    gaps = (-0.05, -0.05, -0.005, float('nan'), 0.02)
    assert found.under_confident(Measured(0.9, region_gaps=(gaps,))) == {0: -0.05}
    assert found.under_confident(Measured(0.9)) == {}


def test_what_is_saved_is_checked():
    saved = RegionLevels(0.1).check_saved(dict(profile=torch.full((5,), 0.2)))
    assert saved.dtype == torch.float64
    assert saved.tolist() == pytest.approx([0.2] * 5)
    for profile in (torch.zeros(4), torch.full((5,), 1.5)):
        with pytest.raises(ValueError, match='its profile is'):
            RegionLevels(0.1).check_saved(dict(profile=profile))


@pytest.mark.parametrize(
    ('gaps', 'shares', 'match'),
    [
        (None, SHARES, 'need region_gap of the validation, 5 numbers'),
        ([0.1] * 6, None, 'need region_gap'),
        ([0.1] * 5, [2.0] * 5, r'region_share .* numbers in \[0, 1\]'),
    ],
)
def test_what_no_validation_measures(gaps, shares, match):
    with pytest.raises(ValueError, match=match):
        RegionLevels(0.0).check_measured(gaps, shares)
    RegionLevels(0.0).check_measured([float('nan')] * 5, None)


def test_regions_and_the_rule():
    assert check_regions(None, FB()) is None
    assert check_regions('border', FB()) == 'border'
    with pytest.raises(ValueError, match='takes the mean gap of each band'):
        check_regions('border', FB(gap='median'))
