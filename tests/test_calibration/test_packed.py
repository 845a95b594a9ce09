"""Counts of images, packed without loss."""

import pickle
from dataclasses import fields, replace

import numpy as np
import pytest

from mmaslp.calibration import CalibrationTables
from mmaslp.calibration.features import count_image
from mmaslp.calibration.fitting.packed import PackedImages
from mmaslp.common.maps import LabelledMap
from tests.test_calibration.object_scenes import discs


def noise(shape, seed=0):
    """A map that has many objects, and a tenth of ignored pixels."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, shape)
    label[rng.random(shape) < 0.1] = 255
    image, _ = count_image(LabelledMap.from_arrays(rng.random(shape), label))
    return image


def found_nothing():
    nothing = np.full((8, 8), 0.25)
    return count_image(LabelledMap.from_arrays(nothing, nothing > 1))[0]


def volume():
    return count_image(LabelledMap.from_arrays(*discs(0, size=32, depth=6)))[0]


def of_many_pixels(scale):
    image = noise((24, 24))
    return replace(
        image, counts=image.counts * scale, object_counts=image.object_counts * scale
    )


@pytest.mark.parametrize(
    'image',
    [noise((24, 24)), found_nothing(), volume()]
    + [of_many_pixels(2**bits) for bits in (16, 40)],
    ids=['noise', 'nothing', 'volume', '32 bits', '64 bits'],
)
def test_nothing_is_lost(image):
    image = replace(image, group=7, key=107)
    [unpacked] = PackedImages([image])
    for column in fields(image):
        before = getattr(image, column.name)
        after = getattr(unpacked, column.name)
        assert np.array_equal(before, after), column.name
        assert getattr(before, 'dtype', None) == getattr(after, 'dtype', None)


def test_an_image_takes_two_kilobytes_at_most():
    images = [noise((24, 24), seed) for seed in range(5)]
    sizes = []
    for number in (20, 120):
        tables = CalibrationTables()
        for key in range(number):
            tables.contents.append(replace(images[key % 5], key=key))
        sizes.append(len(pickle.dumps(tables)))
    assert (sizes[1] - sizes[0]) / 100 < 2048


def test_merging_leaves_the_other_one_as_it_is():
    first = PackedImages([noise((8, 8), 1)])
    second = PackedImages([noise((8, 8), 2)])
    first.extend(second)
    first.append(noise((8, 8), 3))
    assert (len(first), len(second)) == (3, 1)
