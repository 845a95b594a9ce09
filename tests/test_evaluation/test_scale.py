"""What an evaluator and a review keep of many images."""

import gc
import tracemalloc

import numpy as np
import pytest

from mmaslp import fit_calibrator
from mmaslp.evaluation.evaluator import Evaluator
from mmaslp.evaluation.result import strict_json
from mmaslp.metrics.image_metrics import object_auroc
from mmaslp.metrics.objects import MaskTable
from mmaslp.workflows.review import _Reviews, review_image
from tests.test_calibration.object_scenes import discs

SCENES = [discs(seed) for seed in range(8)]
CHUNK = 16  # images that a process hands over at once
MOST = 2048  # bytes of an image


def evaluated(numbers):
    """A shard of an evaluation."""
    shard = Evaluator()
    for number in numbers:
        shard.add(f'{number:05d}', *SCENES[number % len(SCENES)])
    return shard


def kept_by(merge_chunk, chunks=10):
    """Bytes that an image takes for good, as shards are merged."""
    merge_chunk(0)
    gc.collect()
    tracemalloc.start()
    for number in range(1, chunks + 1):
        merge_chunk(number)
    gc.collect()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return kept / (chunks * CHUNK)


def test_an_evaluation_keeps_two_kilobytes_of_an_image():
    whole = Evaluator()

    def merge(chunk):
        whole.merge(evaluated(range(CHUNK * chunk, CHUNK * (chunk + 1))))

    assert kept_by(merge) < MOST
    assert len(whole.names) == len(whole.raw) == 11 * CHUNK


def test_shards_give_the_result_of_one_evaluator():
    whole = Evaluator()
    for first in (0, 5, 5, 13):
        whole.merge(evaluated(range(first, min(first + 8, 20))))
    again = evaluated([*range(8), *range(5, 13), *range(5, 13), *range(13, 20)])
    assert whole.names == again.names
    with pytest.warns(UserWarning, match='one name'):
        one = again.result('A', 'x', resamples=20)
    with pytest.warns(UserWarning, match='one name'):
        merged = whole.result('A', 'x', resamples=20)
    assert merged.to_json() == one.to_json()


def test_images_without_calibrated_maps_are_counted_in_merged_shards():
    shard = evaluated(range(1))
    shard.add('calibrated', *SCENES[1], SCENES[1][0])
    whole = Evaluator()
    whole.merge(shard)
    with pytest.raises(ValueError, match='1 of 2 images have calibrated'):
        whole.result('A', 'x', calibrated=True)


def peak_of(work, *arguments):
    """Bytes that a call takes for a while, and what it returns."""
    tracemalloc.start()
    returned = work(*arguments)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak, returned


def test_resamples_of_many_objects_take_the_memory_of_one():
    """All at once they left the cache: 16 times the objects took 90 times as long."""
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.uniform(size=20000), rng.integers(0, 2, 20000)])
    masks = MaskTable([rows], *[np.zeros(1)] * 3)
    object_auroc(masks)  # what is kept for all resamples

    peak, values = peak_of(object_auroc, masks, np.ones((40, 1)))
    assert peak < 12 * rows[:, 0].nbytes
    assert (values == object_auroc(masks)).all()


def test_a_file_takes_little_more_memory_than_its_text():
    columns = {'rows': [[number / 7, number] for number in range(5000)]}
    peak, text = peak_of(strict_json, columns, 1)
    assert peak < 5 * len(text)


def test_a_review_keeps_four_kilobytes_of_an_image():
    scenes = [discs(seed) for seed in range(30)]
    calibrator = fit_calibrator(
        [prob for prob, _ in scenes], [mask for _, mask in scenes]
    )
    whole = _Reviews(None)

    def merge(chunk):
        shard = _Reviews(None)
        for number in range(CHUNK * chunk, CHUNK * (chunk + 1)):
            prob, _ = SCENES[number % len(SCENES)]
            shard.rows.append(review_image(calibrator, f'{number:05d}', prob))
        whole.merge(shard)

    # With its objects, which a list of objects needs.
    assert kept_by(merge) < 2 * MOST
    assert len(whole.rows) == 11 * CHUNK
