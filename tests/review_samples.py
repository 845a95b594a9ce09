"""Reviewed images whose objects are given."""

from dataclasses import replace

import numpy as np

from mmaslp.calibration.estimates import ImageEstimate, ObjectTable
from mmaslp.files.reviews import Reviewed


def table_of(labels, probability):
    """The table of objects of a map of labels."""
    number = int(labels.max())
    places = [np.argwhere(labels == k) for k in range(1, number + 1)]
    axes = labels.ndim
    boxes = [np.stack([each.min(0), each.max(0)], 1) for each in places]
    centres = [each.mean(0) for each in places]
    return ObjectTable(
        labels,
        label=np.arange(1, number + 1),
        probability=np.array(probability, float),
        low=np.array(probability, float),
        high=np.array(probability, float),
        area=np.array([len(each) for each in places], int),
        box=np.array(boxes, int).reshape(number, axes, 2),
        centre=np.array(centres, float).reshape(number, axes),
        mean=np.full(number, 0.8),
    )


def estimate(dice=0.7, low=0.5, objects=1):
    """What is expected of an image."""
    values = dict(dice=dice, dice_low=low, iou=0.5, iou_low=0.3, accuracy=0.9)
    values |= dict(accuracy_low=0.8, area=10.0, area_low=5.0, area_high=15.0)
    values |= dict(area_unit=1.0, present=1.0, pixels=100, distance=0.0)
    return ImageEstimate(
        **values,
        objects=objects,
        score=dice,
        level=0.9,
        out_of_range=False,
        features=(),
    )


def reviewed(image, dice=0.7, low=0.5, **extras):
    """The row of an image that was judged."""
    objects = image.objects
    return Reviewed(
        image.name,
        estimate(dice, low, len(objects)),
        replace(objects, labels=np.zeros((0,) * objects.labels.ndim, np.int32)),
        mask_area=int(objects.area.sum()),
        grid=image.grid,
        extras={key: make(image) for key, make in extras.items()},
    )
