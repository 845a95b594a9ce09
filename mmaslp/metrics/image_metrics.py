"""Metrics of a table of images: of the set, and of many resamples of it at once.

A metric takes a table and weights, ``(R, I)`` how often each resample holds each image,
and returns ``(R,)`` values; without weights one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .band_table import BORDERS, band_scalars
from .bins import ratio
from .errors import (
    Metric,
    binned_error,
    binned_metrics,
    ordered_pairs,
    squared_error,
    uncertainty,
)
from .image_table import ImageTable
from .objects import MaskTable

# The metric of each border of a band table, see :class:`~.band_table.BandTable`.
BAND_ERRORS = ('ece_band', 'ece_band_true')
# Numbers of an array that stays in the cache of most processors.
IN_CACHE = 2**15


def _times(number: int, weights: np.ndarray | None) -> np.ndarray:
    """How often each image counts."""
    if weights is None:
        return np.ones(number)
    return weights


def mean_of_known(values: np.ndarray, weights: np.ndarray | None = None) -> Any:
    """Mean of the values of images that are not nan."""
    known = ~np.isnan(values)
    times = _times(len(values), weights)
    return ratio(times @ np.where(known, values, 0), times @ known)


def mean_ece(images: ImageTable, weights: np.ndarray | None = None) -> Any:
    """Mean over images with valid pixels of the ECE of each alone."""
    return mean_of_known(binned_error(images.table), weights)


def band_error(
    images: ImageTable, weights: np.ndarray | None, border: str
) -> np.ndarray | None:
    """Error over the bands of a border of ``BORDERS``; None without bands."""
    if images.bands is None:
        return None
    return binned_error(images.bands.pooled(weights))[..., BORDERS.index(border)]


def overlap(
    images: ImageTable, weights: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Dice and IoU of the masks p > 0.5, pooled over images as often as they weigh.

    Empty without masks, or if no image has foreground.
    """
    masks = images.masks
    if masks is None or not masks.foreground.any():
        return {}
    times = _times(len(images), weights)
    sizes = times @ (masks.foreground + masks.predicted)
    wrong = times @ (images.num_pixels - images.table.correct.sum(-1))
    # Both masks hold the common pixels, and one of them each wrong pixel.
    common = sizes - wrong
    return {'dice': ratio(common, sizes), 'iou': ratio(common, sizes + wrong)}


def dice(images: ImageTable, weights: np.ndarray | None = None) -> np.ndarray | None:
    """Dice of :func:`overlap`; None where it is not defined."""
    return overlap(images, weights).get('dice')


def iou(images: ImageTable, weights: np.ndarray | None = None) -> np.ndarray | None:
    """IoU of :func:`overlap`; None where it is not defined."""
    return overlap(images, weights).get('iou')


def found_in_empty(masks: MaskTable, weights: np.ndarray | None = None) -> Any:
    """Share of the images without foreground in which some is predicted."""
    return mean_of_known(np.where(masks.is_empty, masks.predicted > 0, np.nan), weights)


def area_in_empty(masks: MaskTable, weights: np.ndarray | None = None) -> Any:
    """Mean share of the pixels that is predicted in images without foreground."""
    share = ratio(masks.predicted, masks.pixels)
    return mean_of_known(np.where(masks.is_empty, share, np.nan), weights)


def object_ece(masks: MaskTable, weights: np.ndarray | None = None) -> Any:
    """Calibration error of objects, in ten bins of their probability."""
    return binned_error(masks.bins.pooled(weights))


def object_auroc(masks: MaskTable, weights: np.ndarray | None = None) -> Any:
    """How often a true object has the larger probability; a tie is half."""
    image, prob, true = masks.by_probability.T
    image = image.astype(int)
    first_of_level = np.flatnonzero(np.diff(prob, prepend=-1.0))
    if weights is None:
        return _auroc(np.ones(len(image)), true, first_of_level)

    # So many resamples at a time that they stay in the processor's cache.
    rows = max(1, IN_CACHE // max(1, len(image)))
    values = []
    for start in range(0, len(weights), rows):
        times = weights[start : start + rows, image]
        values.append(_auroc(times, true, first_of_level))
    return np.concatenate(values)


def _auroc(times: np.ndarray, true: np.ndarray, first_of_level: np.ndarray) -> Any:
    """AUROC of ``(..., T)`` objects that count so often, by ascending probability.

    ``first_of_level`` are the places where it rises.
    """
    if not len(true):
        return np.full(times.shape[:-1], np.nan)
    positive = np.add.reduceat(times * true, first_of_level, -1)
    negative = np.add.reduceat(times * (1 - true), first_of_level, -1)
    return ordered_pairs(positive, negative)


def dice_error(masks: MaskTable, weights: np.ndarray | None = None) -> Any:
    """Mean absolute error of the expected Dice, over images with a mask.

    Only a calibrator tells of an empty mask: that would compare other images.
    """
    return mean_of_known(
        np.where(masks.predicted > 0, np.abs(masks.expected - masks.dice), np.nan),
        weights,
    )


def aurc_of(masks: MaskTable, weights: np.ndarray | None = None) -> Any:
    """:func:`aurc` of the images with a mask; the risk is 1 - Dice.

    That holds also where what Dice to expect is withheld.
    """
    rows = np.flatnonzero(~np.isnan(masks.score) & (masks.predicted > 0))
    order = rows[np.argsort(-masks.score[rows], kind='stable')]
    risk = 1 - masks.dice[order]
    score = masks.score[order]
    if weights is None:
        return _area(score, risk, np.ones(len(order), int))
    times = np.asarray(weights)[:, order].astype(int)
    return np.array([_area(score, risk, row) for row in times])


def aurc(score: np.ndarray, risk: np.ndarray) -> float:
    """Area under the risk-coverage curve: mean risk of the surest images, averaged.

    Source: `Geifman et al. <https://arxiv.org/abs/1805.08206>`_.
    """
    order = np.argsort(-np.asarray(score), kind='stable')
    ones = np.ones(len(order), int)
    return _area(np.asarray(score)[order], np.asarray(risk)[order], ones)


def _area(score: np.ndarray, risk: np.ndarray, times: np.ndarray) -> float:
    """AURC of images by descending score, each of which counts so often.

    Images of equal score have no order: each counts with their mean risk.
    """
    if not times.sum():
        return np.nan
    first_of_level = np.flatnonzero(np.diff(score, prepend=np.inf))
    if len(first_of_level) < len(score):
        sums = np.add.reduceat(risk * times, first_of_level)
        numbers = np.add.reduceat(times, first_of_level)
        risk = np.repeat(
            ratio(sums, numbers), np.diff(first_of_level, append=len(score))
        )
    repeated = np.repeat(risk, times)
    means = np.cumsum(repeated) / np.arange(1, len(repeated) + 1)
    return float(means.mean())


@dataclass(frozen=True, kw_only=True)
class ImageMetric(Metric):
    """A metric of images; None where it is not defined."""

    function: Callable[[ImageTable, np.ndarray | None], np.ndarray | None]


@dataclass(frozen=True, kw_only=True)
class MaskMetric(Metric):
    """A metric of the masks of images; nan where it is not defined."""

    function: Callable[[MaskTable, np.ndarray | None], Any]


IMAGE_METRICS = (
    ImageMetric(
        key='ece_band',
        function=partial(band_error, border='predicted'),
        better='lower',
        label='ECE by band',
        text=(
            'The mean distance between confidence and accuracy over bands of distance '
            'from the predicted border. Errors of opposite sign near the border and '
            'far from it do not offset.'
        ),
    ),
    ImageMetric(
        key='ece_band_true',
        function=partial(band_error, border='true'),
        better='lower',
        label='ECE by true band',
        text='The same over bands of distance from the border of the mask.',
    ),
    ImageMetric(
        key='ece_image',
        function=mean_ece,
        better='lower',
        label='ECE per image',
        text='The mean over images of the ECE of each image alone.',
    ),
    ImageMetric(
        key='dice',
        function=dice,
        better='higher',
        label='Dice',
        text=(
            'Twice the pixels that the predicted and the true masks share, over the '
            'pixels of both, over all images together.'
        ),
    ),
    ImageMetric(
        key='iou',
        function=iou,
        better='higher',
        label='IoU',
        text=(
            'Intersection over union of the predicted and the true masks, over all '
            'images together.'
        ),
    ),
)

MASK_METRICS = (
    MaskMetric(
        key='ece_object',
        function=object_ece,
        better='lower',
        label='ECE of objects',
        text=(
            'The mean distance, in ten bins, between the probability that an object is '
            'real and how often such objects are. Without a calibrator, as in '
            'eval-maps, it is the mean probability of the pixels of the object.'
        ),
    ),
    MaskMetric(
        key='auroc_object',
        function=object_auroc,
        better='higher',
        label='AUROC of objects',
        text='How often a real object has a larger probability than one that is not.',
    ),
    MaskMetric(
        key='dice_error',
        function=dice_error,
        better='lower',
        label='Dice error',
        text=(
            'The mean distance between the expected Dice of an image and its true '
            'Dice. Without a calibrator, as in eval-maps, the Soft Dice Confidence is '
            'expected.'
        ),
    ),
    MaskMetric(
        key='aurc',
        function=aurc_of,
        better='lower',
        label='AURC',
        text=(
            'Area under the risk-coverage curve: 1 - Dice of the surest images, '
            'averaged over how many images are kept.'
        ),
    ),
    MaskMetric(
        key='empty_found',
        function=found_in_empty,
        better='lower',
        label='found in empty images',
        text=(
            'Of the images without foreground, the share in which the network finds '
            'some.'
        ),
    ),
    MaskMetric(
        key='empty_area',
        function=area_in_empty,
        better='lower',
        label='area in empty images',
        text=(
            'The mean share of the pixels that the network finds in images without '
            'foreground.'
        ),
    ),
)


def image_metrics(
    images: ImageTable, weights: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Compute every metric that has intervals, of the images together."""
    pooled = images.table.pooled(weights)
    times = _times(len(images), weights)
    values: dict[str, Any] = binned_metrics(pooled)
    values['brier'] = ratio(times @ images.brier, pooled.total)
    values['nll'] = ratio(times @ images.nll, pooled.total)

    for metric in IMAGE_METRICS:
        value = metric.function(images, weights)
        if value is not None:
            values[metric.key] = value
    if images.masks is not None:
        for of_masks in MASK_METRICS:
            if not np.isnan(of_masks.function(images.masks, None)):
                values[of_masks.key] = of_masks.function(images.masks, weights)
    return values


def metrics_of_sums(images: ImageTable) -> dict[str, float]:
    """Compute every metric that the sums of images give, also of single bands."""
    values = {key: float(value) for key, value in image_metrics(images).items()}
    pooled = images.table.pooled()
    values['brier_reliability'] = float(squared_error(pooled))
    values['brier_uncertainty'] = float(uncertainty(pooled))
    values['brier_resolution'] = (
        values['brier_reliability'] + values['brier_uncertainty'] - values['brier']
    )
    if images.bands is not None:
        scalars = band_scalars(images.bands.pooled().take(0))
        for key, value in scalars.items():
            if not np.isnan(value):
                values[key] = value
    return values
