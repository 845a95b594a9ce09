import pytest

from mmaslp.workflows.measure import name_calibrated, set_name
from tests.test_report import sections as helper


@pytest.mark.parametrize(
    ('folder', 'name'),
    [
        ('/data/ECSSD/gt', 'ECSSD'),
        ('/data/x/GT/masks', 'x'),
        ('/data/DUTS-TE-Mask', 'DUTS-TE-Mask'),
        ('/gt', 'gt'),
    ],
)
def test_a_set_is_not_called_after_its_masks(folder, name):
    assert set_name(folder) == name


@pytest.mark.parametrize(('gain', 'name'), [(2.0, 'A, calibrated'), (0.0, 'B')])
def test_calibrated_maps_without_a_mask_are_of_no_network(gain, name):
    raw = helper.result('A', gain=gain)
    calibrated = helper.result('B', gain=gain, calibrator='given')
    assert [row.model for row in name_calibrated([raw, calibrated])] == ['A', name]
