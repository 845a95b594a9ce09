"""The figures: one entry each, from which files, tables, intervals and toolkits follow.

A new figure is a function and an entry in :data:`METRICS`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .bins import BinTable, ScoreTable, equal_mass, equal_width, ratio, sweep
from .errors import (
    accuracy,
    average_gap,
    binned_error,
    brier_decomposition,
    brier_score,
    confidence,
    debiased_l2,
    ks_error,
    largest_gap,
    over_confidence,
    under_confidence,
)
from .objects import aurc_of, dice_error, object_auroc

if TYPE_CHECKING:
    from .image_table import ImageTable

# The figure of each border of a band table, see :class:`~.band_table.BandTable`.
BAND_ERRORS = ('ece_band', 'ece_band_true')


@dataclass(frozen=True)
class Metric:
    """A figure.

    Args:
        key (str): Its name in results and files.
        function (Callable, optional): Computes it from what it ``needs``; None of a
            figure that another library computes.
        needs (str): 'bins': a :class:`BinTable`, ``(..., B)`` for many resamples at
            once, so the figure has intervals; 'pixels': :class:`Pixels`; 'images': an
            :class:`ImageTable` and weights ``(R, I)`` or None, and None where it is not
            defined.
        better (str): 'lower', 'higher' or '' where neither is better.
        label (str): Its name for people.
        text (str): What it means, in a sentence.
        shown (bool): Whether tables show it; files have all. Defaults to False.
        of_images (Callable, optional): Of a figure of pixels, as of 'images', for its
            intervals. Defaults to None: it has none.
    """

    key: str
    function: Callable[..., Any] | None
    needs: str
    better: str
    label: str
    text: str
    in_summary: bool = False
    of_images: Callable[[ImageTable, np.ndarray | None], Any] | None = None

    @property
    def arrow(self) -> str:
        """The direction as a sign."""
        return {'lower': '↓', 'higher': '↑'}.get(self.better, '')


@dataclass(frozen=True)
class Pixels:
    """All pixels of a histogram: their scores, their summed NLL, a number of bins."""

    scores: ScoreTable
    nll: float
    n_bins: int

    @cached_property
    def bins(self) -> BinTable:
        """Bins of equal width."""
        return equal_width(self.scores, self.n_bins)

    @cached_property
    def swept(self) -> BinTable:
        """Bins of equal mass whose accuracies ascend."""
        return sweep(self.scores)


def _weights(images: ImageTable, weights: np.ndarray | None) -> np.ndarray:
    return np.ones(len(images)) if weights is None else weights


def _per_pixel(key: str) -> Callable[[ImageTable, np.ndarray | None], Any]:
    """Mean over pixels of what the table sums for every image."""

    def mean(images: ImageTable, weights: np.ndarray | None = None) -> Any:
        total = images.table.pooled(weights).total
        return ratio(_weights(images, weights) @ getattr(images, key), total)

    return mean


def _per_image(images: ImageTable, weights: np.ndarray | None = None) -> Any:
    """Mean over images of their own ECE."""
    errors = binned_error(images.table)
    known = ~np.isnan(errors)
    drawn = _weights(images, weights)
    return ratio(drawn @ np.where(known, errors, 0), drawn @ known)


def _by_band(key: str) -> Callable[[ImageTable, np.ndarray | None], Any]:
    """Error over the bands of one border."""
    border = BAND_ERRORS.index(key)

    def error(images: ImageTable, weights: np.ndarray | None = None) -> Any:
        if images.bands is None:
            return None
        return binned_error(images.bands.pooled(weights))[..., border]

    return error


def _overlap(key: str) -> Callable[[ImageTable, np.ndarray | None], Any]:
    def overlap(images: ImageTable, weights: np.ndarray | None = None) -> Any:
        return images.overlap(weights).get(key)

    return overlap


def _of_masks(found: Callable[..., Any]) -> Callable[..., Any]:
    """What was said of masks; None where nothing was, or the figure is not defined."""

    def figure(images: ImageTable, weights: np.ndarray | None = None) -> Any:
        if images.scores is None:
            return None
        value = found(images.scores, None)
        if np.isnan(value):
            return None
        return value if weights is None else found(images.scores, weights)

    return figure


def _of_empty(found: Callable[[np.ndarray], np.ndarray]) -> Callable[..., Any]:
    """Mean over the images without foreground; None if there is none.

    ``found`` maps the shares of the pixels with p > 1/2, ``(I,)``, to what is meant.
    """

    def mean(images: ImageTable, weights: np.ndarray | None = None) -> Any:
        if images.predicted is None or images.foreground is None:
            return None
        empty = (images.foreground == 0) & (images.num_pixels > 0)
        if not empty.any():
            return None
        share = np.nan_to_num(ratio(images.predicted, images.num_pixels))
        drawn = _weights(images, weights)
        return ratio(drawn @ np.where(empty, found(share), 0), drawn @ empty)

    return mean


def _part_of_brier(key: str) -> Callable[[Pixels], Any]:
    def part(pixels: Pixels) -> Any:
        return brier_decomposition(pixels.bins, brier_score(pixels.scores))[key]

    return part


def _mean_nll(pixels: Pixels) -> float:
    return float(ratio(pixels.nll, pixels.scores.total))


def _number_of_swept_bins(pixels: Pixels) -> float:
    return len(pixels.swept.count) if pixels.scores.total else float('nan')


def _elsewhere(key: str, better: str, label: str, text: str) -> Metric:
    """A figure that another library computes."""
    return Metric(key, None, '', better, label, text)


METRICS = (
    Metric(
        'ece',
        binned_error,
        'bins',
        'lower',
        'ECE',
        'Expected calibration error: the mean distance between confidence and accuracy '
        'over all pixels, in bins of equal width.',
        in_summary=True,
    ),
    Metric(
        'ece_band',
        _by_band('ece_band'),
        'images',
        'lower',
        'ECE by band',
        'The mean distance between confidence and accuracy over bands of distance from '
        'the predicted border. Errors of opposite sign near the border and far from it '
        'do not offset.',
        in_summary=True,
    ),
    Metric(
        'ece_band_true',
        _by_band('ece_band_true'),
        'images',
        'lower',
        'ECE by true band',
        'The same over bands of distance from the border of the mask.',
    ),
    Metric(
        'oe',
        over_confidence,
        'bins',
        'lower',
        'over-confidence error',
        'The part of the ECE in bins whose confidence is above the accuracy, each gap '
        'weighted by its confidence (OE).',
    ),
    Metric(
        'ue',
        under_confidence,
        'bins',
        'lower',
        'under-confidence error',
        'The same for bins whose confidence is below the accuracy (UE).',
    ),
    Metric(
        'mce',
        largest_gap,
        'bins',
        'lower',
        'MCE',
        'Maximum calibration error: the largest gap of all bins.',
    ),
    Metric(
        'ace',
        average_gap,
        'bins',
        'lower',
        'average calibration error',
        'The mean gap of all bins that are not empty.',
    ),
    Metric(
        'ece_em',
        lambda pixels: binned_error(equal_mass(pixels.scores, pixels.n_bins)),
        'pixels',
        'lower',
        'ECE in bins of equal mass',
        'The ECE in bins of equally many pixels.',
    ),
    Metric(
        'ece_sweep',
        lambda pixels: binned_error(pixels.swept),
        'pixels',
        'lower',
        'ECE sweep',
        'The ECE in the most bins of equal mass whose accuracies ascend.',
    ),
    Metric(
        'sweep_bins',
        _number_of_swept_bins,
        'pixels',
        '',
        'bins of the sweep',
        'How many bins the sweep has.',
    ),
    Metric(
        'ece_debiased',
        debiased_l2,
        'bins',
        'lower',
        'de-biased error',
        'The root of the mean squared gap, less what sampling alone gives.',
    ),
    Metric(
        'ks',
        lambda pixels: ks_error(pixels.scores),
        'pixels',
        'lower',
        'KS error',
        'The largest sum of confidence less accuracy up to any score.',
    ),
    Metric(
        'ece_image',
        _per_image,
        'images',
        'lower',
        'ECE per image',
        'The mean over images of the ECE of each image alone.',
    ),
    Metric(
        'brier',
        lambda pixels: brier_score(pixels.scores),
        'pixels',
        'lower',
        'Brier score',
        'The mean squared distance between probability and mask. It also falls with '
        'better accuracy.',
        in_summary=True,
        of_images=_per_pixel('brier'),
    ),
    Metric(
        'brier_reliability',
        _part_of_brier('brier_reliability'),
        'pixels',
        'lower',
        'Brier, reliability',
        'The mean squared gap of the bins.',
    ),
    Metric(
        'brier_resolution',
        _part_of_brier('brier_resolution'),
        'pixels',
        'higher',
        'Brier, resolution',
        'How far the accuracies of the bins lie apart.',
    ),
    Metric(
        'brier_uncertainty',
        _part_of_brier('brier_uncertainty'),
        'pixels',
        '',
        'Brier, uncertainty',
        'The Brier score of the mean accuracy.',
    ),
    Metric(
        'nll',
        _mean_nll,
        'pixels',
        'lower',
        'NLL',
        'The mean negative logarithm of the probability of the true class. Confident '
        'mistakes cost most.',
        in_summary=True,
        of_images=_per_pixel('nll'),
    ),
    Metric(
        'acc',
        accuracy,
        'bins',
        'higher',
        'accuracy',
        'The share of pixels whose class is right.',
        in_summary=True,
    ),
    Metric(
        'conf',
        confidence,
        'bins',
        '',
        'confidence',
        'The mean confidence of all pixels. Above the accuracy, the model is '
        'over-confident on the whole.',
        in_summary=True,
    ),
    Metric(
        'dice',
        _overlap('dice'),
        'images',
        'higher',
        'Dice',
        'Twice the pixels that the predicted and the true masks share, over the pixels '
        'of both, over all images together.',
        in_summary=True,
    ),
    Metric(
        'iou',
        _overlap('iou'),
        'images',
        'higher',
        'IoU',
        'Intersection over union of the predicted and the true masks, over all images '
        'together.',
        in_summary=True,
    ),
    Metric(
        'empty_found',
        _of_empty(lambda share: share > 0),
        'images',
        'lower',
        'found in empty images',
        'Of the images without foreground, the share in which the network finds some.',
    ),
    Metric(
        'empty_area',
        _of_empty(lambda share: share),
        'images',
        'lower',
        'area in empty images',
        'The mean share of the pixels that the network finds in images without '
        'foreground.',
    ),
    Metric(
        'ece_object',
        _of_masks(lambda masks, weights: binned_error(masks.bins.pooled(weights))),
        'images',
        'lower',
        'ECE of objects',
        'The mean distance, in ten bins, between the probability that an object is '
        'real and how often such objects are. Without a calibrator the probability is '
        'the mean of the pixels of the object.',
        in_summary=True,
    ),
    Metric(
        'auroc_object',
        _of_masks(object_auroc),
        'images',
        'higher',
        'AUROC of objects',
        'How often a real object has a larger probability than one that is not.',
    ),
    Metric(
        'dice_error',
        _of_masks(dice_error),
        'images',
        'lower',
        'Dice error',
        'The mean distance between the Dice that is expected of an image and its true '
        'Dice. Without a calibrator the Soft Dice Confidence is expected.',
        in_summary=True,
    ),
    Metric(
        'aurc',
        _of_masks(aurc_of),
        'images',
        'lower',
        'AURC',
        'Area under the risk-coverage curve: 1 - Dice of the surest images, averaged '
        'over how many images are kept.',
    ),
    _elsewhere(
        'mae',
        'lower',
        'MAE',
        'The mean absolute distance between probability and mask, over images.',
    ),
    _elsewhere(
        'max_f',
        'higher',
        'max F',
        'The largest F-measure over all thresholds of the map.',
    ),
    _elsewhere(
        'mean_f',
        'higher',
        'mean F',
        'The mean F-measure over all thresholds.',
    ),
    _elsewhere(
        'adp_f',
        'higher',
        'adaptive F',
        'The F-measure at twice the mean of the map.',
    ),
    _elsewhere(
        'mean_e',
        'higher',
        'mean E',
        'The mean enhanced-alignment measure over all thresholds.',
    ),
    _elsewhere(
        'adp_e',
        'higher',
        'adaptive E',
        'The enhanced-alignment measure at twice the mean of the map.',
    ),
    _elsewhere(
        'weighted_f',
        'higher',
        'weighted F',
        'An F-measure of the map itself that weighs errors by where they lie.',
    ),
    _elsewhere(
        'max_e',
        'higher',
        'max E',
        'The largest enhanced-alignment measure over all thresholds.',
    ),
    _elsewhere(
        's',
        'higher',
        'S',
        'Structure measure: how alike the structures of map and mask are.',
    ),
    _elsewhere(
        'ap',
        'higher',
        'AP',
        'Average precision of the foreground over all thresholds.',
    ),
    _elsewhere(
        'auc',
        'higher',
        'AUC',
        'Area under the ROC curve: how often a foreground pixel has a larger '
        'probability than one of the background.',
    ),
    _elsewhere(
        'mIoU %',
        'higher',
        'mIoU %',
        'Mean intersection over union of both classes, in per cent.',
    ),
    _elsewhere(
        'aAcc %',
        'higher',
        'pixel accuracy %',
        'The share of pixels whose class is right.',
    ),
    _elsewhere(
        'mAcc %',
        'higher',
        'class accuracy %',
        'The share of right pixels of a class, averaged over both classes.',
    ),
    _elsewhere('gap', '', 'gap', 'Confidence less accuracy.'),
    _elsewhere('share', '', 'share', 'Share of the pixels.'),
)
_BY_KEY = {metric.key: metric for metric in METRICS}
# What tables show; files have more.
SHOWN = tuple(metric.key for metric in METRICS if metric.in_summary)


def mean_iou(images: ImageTable) -> float:
    """Mean of the IoU of foreground and of background, pooled over images."""
    if images.foreground is None or images.predicted is None:
        return math.nan
    right = int(images.table.correct.sum())
    wrong = int(images.num_pixels.sum()) - right
    inside = (int(images.foreground.sum()) + int(images.predicted.sum()) - wrong) // 2
    parts = (inside, right - inside)
    return float(np.mean([part / max(part + wrong, 1) for part in parts]))


def metric_of(key: str) -> Metric:
    """Look a figure up, also that of a band; an unknown one keeps its name."""
    name = re.sub(r'^band\d+_', '', key)
    if name in _BY_KEY:
        return _BY_KEY[name]
    return _elsewhere(key, '', key, 'See the page of metrics in the documentation.')


def binned_metrics(table: BinTable) -> dict[str, np.ndarray]:
    """Compute every figure that needs only the sums per bin, ``(...)`` each."""
    return {
        metric.key: metric.function(table)
        for metric in METRICS
        if metric.function is not None and metric.needs == 'bins'
    }


def figures_of_pixels(pixels: Pixels) -> dict[str, float]:
    """Compute every figure that needs no images."""
    found = binned_metrics(pixels.bins)
    for metric in METRICS:
        if metric.function is not None and metric.needs == 'pixels':
            found[metric.key] = metric.function(pixels)
    return {key: float(value) for key, value in found.items()}


def figures_of_images(
    images: ImageTable, weights: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Compute every figure that has intervals, of the images together.

    ``weights`` are ``(R, I)``, how often each resample holds each image; the figures
    are then ``(R,)``.
    """
    found = binned_metrics(images.table.pooled(weights))
    for metric in METRICS:
        of_images = metric.function if metric.needs == 'images' else metric.of_images
        if of_images is not None:
            found[metric.key] = of_images(images, weights)
    return {key: value for key, value in found.items() if value is not None}
