import numpy as np

from mmaslp.evaluation.sod_measures import sod_metrics, sod_record


def test_no_images():
    assert all(np.isnan(value) for value in sod_metrics([]).values())


def test_8_bit_values_survive_float32():
    mask = np.zeros((16, 16), np.uint8)
    mask[4:12, 4:12] = 1
    prob = np.arange(256, dtype=np.uint8).reshape(16, 16)
    one = sod_record(np.float32(prob) / np.float32(255), mask)
    two = sod_record(prob / 255, mask)
    assert np.array_equal(one['f_curve'], two['f_curve'])
