import math

import pytest
from mmaslp.hosts.mmseg.hooks.measured import read_measured

KEYS = {'accuracy': 'calib/acc', 'confidence': 'calib/conf'}
PLAIN = {'calib/acc': 0.9, 'calib/conf': 0.95}


def test_values_under_the_names_of_the_learner():
    assert read_measured(PLAIN, KEYS, 0) == dict(accuracy=0.9, confidence=0.95)
    found = read_measured({'aAcc': 93.0, 'mIoU': 80.0}, {'accuracy': 'aAcc'}, 0)
    assert found == dict(accuracy=0.93)


def test_bands_without_pixels_have_no_gap():
    metrics = {**PLAIN, 'calib/band0_share': 0.0, 'calib/band1_share': 1.0}
    metrics['calib/band1_gap'] = 0.05
    metrics['calib/band1_acc'] = 0.9
    found = read_measured(metrics, KEYS, 2)
    assert found['region_share'] == [0.0, 1.0]
    assert math.isnan(found['region_gap'][0]) and found['region_gap'][1] == 0.05
    accuracy = found['region_accuracy']
    assert math.isnan(accuracy[0]) and accuracy[1] == 0.9


def test_a_validation_without_valid_pixels_has_no_regions():
    found = read_measured({**PLAIN, 'calib/acc': math.nan}, KEYS, 5)
    assert set(found) == {'accuracy', 'confidence'}


def test_metrics_that_are_missing():
    with pytest.raises(ValueError, match=r"no 'calib/acc' for ASLPHook, only \['mIoU'"):
        read_measured({'mIoU': 80.0}, KEYS, 0)
    with pytest.raises(ValueError, match='reports no calib/band0_share'):
        read_measured(PLAIN, KEYS, 5)
