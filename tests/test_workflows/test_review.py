"""Reviews of many maps: their time, and what is kept of them."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest

from mmaslp.calibration import fit_calibrator
from mmaslp.files.prob_maps import write_prob_map
from mmaslp.files.reviews import Reviewed
from mmaslp.workflows.review import (
    ReviewOptions,
    _Reviews,
    most_doubtful_first,
    review_maps,
)
from tests.review_samples import estimate, table_of
from tests.test_calibration.object_scenes import discs

EMPTY = table_of(np.zeros((2, 2), int), [])


def row(number, score):
    """The row of an image without objects, with one extra."""
    expected = replace(estimate(), score=score)
    name = f'{number:05d}'
    return Reviewed(name, expected, EMPTY, mask_area=0, extras={'views': name})


def merged(scores, most, chunk=16):
    """Rows as processes hand them over, a chunk at a time."""
    whole = _Reviews(None, {'views': most})
    rows = [row(number, score) for number, score in enumerate(scores)]
    for first in range(0, len(rows), chunk):
        whole.merge(_Reviews(None, {}, rows[first : first + chunk]))
    return whole.rows


@pytest.mark.parametrize('most', [0, 1, 7, 100])
def test_an_extra_is_kept_of_the_most_doubtful(most):
    rng = np.random.default_rng(0)
    # Many ties, in which the first one comes first, and some that tell nothing.
    scores = rng.choice([0.1, 0.2, 0.5, 0.7, np.nan], 60)
    ordered = most_doubtful_first(merged(scores.tolist(), most))
    assert [bool(each.extras) for each in ordered] == [
        place < most for place in range(60)
    ]


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


def test_merging_is_linear_in_images():
    scores = np.random.default_rng(0).random(8000).tolist()
    few = seconds_of(lambda: merged(scores[:1000], 500))
    many = seconds_of(lambda: merged(scores, 500))
    assert exponent(8, few, many) < 1.25


@pytest.mark.release
def test_a_review_is_linear_in_images(tmp_path):
    scenes = [discs(seed) for seed in range(30)]
    calibrator = fit_calibrator(
        [prob for prob, _ in scenes], [mask for _, mask in scenes]
    )
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
