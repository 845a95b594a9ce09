"""Figures of result files; tests/hostile/test_silent.py edits whole files."""

import numpy as np
import pytest

from mmaslp.core.measure import CalibrationHistogram, ImageTable
from mmaslp.files.result_checks import check_figures, check_settings
from mmaslp.files.results import calibration_result


@pytest.fixture
def evaluated():
    rng = np.random.default_rng(0)
    histogram = CalibrationHistogram()
    histogram.update(rng.random(50), rng.random(50) < 0.5)
    images = ImageTable([ImageTable.record('a', histogram)])
    return calibration_result(histogram, images, resamples=0), images


def test_results_as_they_are_written_pass(evaluated):
    result, images = evaluated
    check_figures(result, images)
    assert check_settings(result['settings']) == 10
    older = {key: result[key] for key in ('ece', 'images', 'settings')}
    check_figures(older, images)


@pytest.mark.parametrize(
    ('key', 'value', 'words'),
    [
        ('oe', -0.1, 'oe must be'),
        ('conf', 0.5, 'conf is 0.5, but its bins give'),
        ('nll', -1.0, 'nll must be'),
        ('num_images', 2, 'num_images is 2, but its images are 1'),
    ],
)
def test_other_figures_are_refused(evaluated, key, value, words):
    result, images = evaluated
    with pytest.raises(ValueError, match=words):
        check_figures({**result, key: value}, images)
