"""Labels that are probably wrong, by maps of networks that were not trained on them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import ndimage

from ..calibration.estimates import box_of
from ..calibration.features import logit
from ..common.maps import VOLUMES, kind_of, mask_of
from ..files.reviews import Judged, Suspect, stored_order
from ..metrics.objects import LEAST_SHARE

# Nothing is surer than this, of probabilities and of Dice.
EDGE = 1e-3


def find_suspects(image: Judged) -> list[Suspect]:
    r"""Find the suspects of one image with a label, the most suspicious first.

    An object of ``a`` pixels scores :math:`logit(P) + log(a / a_0)`. P is the
    probability that it is real or, of one that is labelled, 1 less the largest
    calibrated probability of its pixels; :math:`a_0` is the least size of an object. A
    mask scores by the log-odds of its expected Dice, less those of the Dice with its
    label.
    """
    suspects = [*_not_labelled(image), *_not_seen(image), *_border(image)]
    if image.prob.ndim == 3:
        order = stored_order(image.slice_axis)
        suspects = [replace(each, box=each.box[order]) for each in suspects]
    return sorted(suspects, key=lambda suspect: -suspect.score)


def _not_labelled(image: Judged) -> Iterator[Suspect]:
    table = image.objects
    sure = np.where(np.isnan(table.probability), table.mean, table.probability)
    truth: Any = image.truth
    for k in np.flatnonzero(truth.known & ~truth.real):
        yield Suspect(
            'not labelled',
            _score(image, sure[k], table.area[k]),
            int(table.area[k]),
            table.box[k],
        )


def _not_seen(image: Judged) -> Iterator[Suspect]:
    boxes = ndimage.find_objects(image.unseen)
    if not boxes:
        return
    calibrator: Any = image.calibrator
    prob = calibrator.mask_calibrator(image.prob)
    for number, sides in enumerate(boxes, 1):
        inside = prob[sides][image.unseen[sides] == number]
        yield Suspect(
            'not seen',
            _score(image, 1 - inside.max(), inside.size),
            inside.size,
            box_of(sides),
        )


def _border(image: Judged) -> Iterator[Suspect]:
    expected = image.estimate.dice
    label = np.asarray(image.label)
    apart = np.isin(label, (0, 1)) & (mask_of(image.prob) != (label == 1))
    if np.isnan(expected) or not apart.any() or not image.estimate.objects:
        return  # where it sees no object, each labelled one is not seen
    truth: Any = image.truth
    odds = logit(np.array([expected, truth.dice]), EDGE)
    [sides] = ndimage.find_objects(apart.view(np.uint8))
    yield Suspect(
        'border', odds[0] - odds[1], int(np.count_nonzero(apart)), box_of(sides)
    )


def _score(image: Judged, probability: float, area: int) -> float:
    axes = 3 if kind_of(image.prob.shape) == VOLUMES else 2
    least = LEAST_SHARE[axes] * image.prob.size
    return float(logit(np.asarray(probability), EDGE) + np.log(area / least))
