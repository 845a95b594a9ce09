import numpy as np
import pytest

from mmaslp.common.arrays import apply_protocol
from mmaslp.evaluation.evaluator import Evaluator
from mmaslp.workflows.measure import _add, name_calibrated, set_name
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


def test_released_maps_are_stretched_by_the_pixels_that_count():
    """Before, by all of them, and CalibrationMetric by those that count."""
    label = np.zeros((16, 16), np.uint8)
    label[4:9, 4:9] = 1
    prob = np.where(label == 1, 0.6, 0.2)
    label[:2] = 255
    prob[:2] = 1
    found = Evaluator()
    _add('released', found, 'a', None, prob, label)
    expected = Evaluator()
    expected.add('a', apply_protocol(prob, 'released', label != 255), label)
    nll = [
        each.result('a', 'b', resamples=0).metrics['nll'] for each in (found, expected)
    ]
    assert nll[0] == pytest.approx(nll[1])
