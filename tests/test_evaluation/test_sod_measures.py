import numpy as np
import pytest

from mmaslp.evaluation.sod import sod_metrics, sod_record
from mmaslp.metrics import CalibrationHistogram

pytest.importorskip('py_sod_metrics')


def test_8_bit_values_survive_float32():
    mask = np.zeros((16, 16), np.uint8)
    mask[4:12, 4:12] = 1
    prob = np.arange(256, dtype=np.uint8).reshape(16, 16)
    one = sod_record(np.float32(prob) / np.float32(255), mask)
    two = sod_record(prob / 255, mask)
    assert np.array_equal(one['f_curve'], two['f_curve'])


def test_curves_are_averaged_before_their_maximum_and_nan_is_left_out():
    rows = []
    for curve in ([0.2, 0.8], [0.6, 0.4], [np.nan, np.nan]):
        row = dict.fromkeys(('mae', 's', 'weighted_f', 'adp_f', 'adp_e'), curve[0])
        rows.append({**row, 'f_curve': np.array(curve), 'e_curve': np.array(curve)})
    found = sod_metrics(rows, CalibrationHistogram())
    assert found['max_f'] == found['max_e'] == pytest.approx(0.6)
    assert found['mean_f'] == pytest.approx(0.5)
    assert found['mae'] == found['s'] == pytest.approx(0.4)
