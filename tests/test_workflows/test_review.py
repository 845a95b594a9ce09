"""Reviews of many maps: their time, and what is kept of them."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest

from mmaslp.calibration import fit_calibrator
from mmaslp.calibration.decisions import Decisions, Predictor
from mmaslp.files.prob_maps import write_prob_map
from mmaslp.files.reviews import Judged
from mmaslp.workflows.review import (
    ReviewOptions,
    review_maps,
    unknown_dice_said,
)
from tests.review_samples import estimate, reviewed, table_of
from tests.test_calibration.object_scenes import discs


@pytest.fixture(scope='module')
def calibrator():
    scenes = [discs(seed) for seed in range(30)]
    return fit_calibrator([prob for prob, _ in scenes], [mask for _, mask in scenes])


def name_of(image):
    return image.name


@pytest.mark.parametrize('most', [0, 1, 7, 100])
@pytest.mark.parametrize('workers', [1, 2])
def test_an_extra_is_made_of_the_most_doubtful(calibrator, tmp_path, most, workers):
    for number in range(12):
        write_prob_map(tmp_path / f'{number}.png', discs(number // 2)[0])  # ties
    options = ReviewOptions(
        extras={'views': name_of, 'all': name_of}, keep={'views': most}
    )
    rows = review_maps(calibrator, tmp_path, options=options, workers=workers)
    for place, row in enumerate(rows):
        expected = {'all': row.name}
        if place < most:
            expected['views'] = row.name
        assert row.extras == expected


def seconds_of(work):
    """The least of three runs, in seconds of this process."""
    taken = []
    for _ in range(3):
        before = time.process_time()
        work()
        taken.append(time.process_time() - before)
    return min(taken)


def exponent(number, one, other):
    """Of the power of the number of images that the time grows with."""
    return math.log(other / one) / math.log(number)


@pytest.mark.release
def test_a_review_is_linear_in_images(calibrator, tmp_path):
    rng = np.random.default_rng(0)
    small = [rng.random((24, 24)) * np.eye(24) for _ in range(50)]

    options = ReviewOptions(extras={'views': lambda image: 0}, keep={'views': 500})
    taken = {}
    for number in (500, 2000, 8000):
        folder = tmp_path / str(number)
        folder.mkdir()
        for k in range(number):
            write_prob_map(folder / f'{k}.png', small[k % 50])
        before = time.process_time()
        review_maps(calibrator, folder, options=options)
        taken[number] = time.process_time() - before
    assert exponent(16, taken[500], taken[8000]) <= 1.15


def test_why_no_dice_is_expected_is_said():
    labels = np.ones((4, 4), np.int32)
    row = reviewed(Judged(None, 'a', labels * 0.9, table_of(labels, [0.9]), estimate()))
    silent = replace(row, estimate=replace(row.estimate, dice=math.nan))
    untold = Decisions()
    assert 'too few images to tell it' in unknown_dice_said([row, silent], untold)
    told = replace(untold, image=Predictor('uncalibrated'))
    assert unknown_dice_said([row], told) == ''
    assert '1 of 2 images' in unknown_dice_said([row, silent], told)
    assert 'differ from' in unknown_dice_said([row, silent], told)
    empty = replace(silent, mask_area=0)
    assert 'nothing was found' in unknown_dice_said([row, empty], told)
