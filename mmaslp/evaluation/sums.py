"""Whether the numbers of a result file follow from the sums of its images.

What needs every pixel cannot be computed again: it lies where the sums allow it.
"""

from collections.abc import Mapping
from math import isnan, nan

import numpy as np

from ..metrics.bins import BinTable, confidences_of_bins, ratio
from ..metrics.bootstrap import resample
from ..metrics.image_metrics import metrics_of_sums
from ..metrics.image_table import ImageTable

# By how much a number in a file may differ from that of its sums.
LARGEST_ROUNDING = 1e-6
# Resamples times images that are drawn again, which takes some seconds.
MOST_DRAWN = 20_000_000
# Errors in bins of any edges: at least the distance of the means over all pixels.
_AT_LEAST_OF_MEANS = ('ece', 'ece_em', 'ece_sweep', 'ks')


def check_metrics(images: ImageTable, metrics: Mapping[str, float]) -> None:
    """Refuse metrics that the sums of the images do not give, or do not allow."""
    for key, value in metrics_of_sums(images).items():
        _check_equal(key, metrics.get(key, nan), value)

    pooled = images.table.pooled()
    least, most = _bounds_of_ks(pooled)
    _check_between('ks', metrics.get('ks', nan), least, most)
    most = _largest_error(pooled)
    for key in ('ece_em', 'ece_sweep'):
        _check_between(key, metrics.get(key, nan), 0.0, most)
    _check_errors_and_bins('', metrics, int(pooled.total))


def check_positive(
    images: ImageTable, metrics: Mapping[str, float], positive: Mapping[str, float]
) -> None:
    """Refuse metrics in mode 'positive' that the sums of the images do not allow.

    ``metrics`` are those of the same pixels in mode 'top_label'.
    """
    pixels = int(images.num_pixels.sum())
    for key in ('brier', 'nll'):  # which are the same in both modes
        _check_equal(f'positive {key}', positive.get(key, nan), metrics[key])
    if images.masks is not None:
        share = float(ratio(images.masks.foreground.sum(), pixels))
        _check_equal('positive acc', positive.get('acc', nan), share)

    resolution = positive['brier_reliability'] + positive['brier_uncertainty']
    resolution -= positive['brier']
    _check_equal('positive resolution', positive['brier_resolution'], resolution)
    _check_errors_and_bins('positive ', positive, pixels)


def check_intervals(
    images: ImageTable, intervals: Mapping[str, list[float]], resamples: int
) -> None:
    """Refuse intervals that so many resamples of the images do not have.

    Of very many images and resamples they are not drawn again.
    """
    if not intervals or len(images) * resamples > MOST_DRAWN:
        return
    if not resamples:
        raise ValueError('there are intervals, but settings have no resamples')

    drawn = resample(images, resamples)
    for key, ends in intervals.items():
        if key not in drawn.values:
            raise ValueError(f'{key} has an interval, and is no metric of these images')
        for end, stated, value in zip(('low', 'high'), ends, drawn.interval(key)):
            _check_equal(f'the {end} end of {key}', stated, float(value))


def _check_equal(key: str, stated: float, value: float) -> None:
    """Refuse another value than that of the sums; nan is what is undefined."""
    both_undefined = isnan(stated) and isnan(value)
    if not (both_undefined or abs(stated - value) <= LARGEST_ROUNDING):
        raise ValueError(
            f'{key} is {stated:g}, but the sums of its images give {value:g}: the '
            'file was changed: evaluate the model again'
        )


def _check_between(key: str, stated: float, least: float, most: float) -> None:
    """Refuse a value that the sums do not allow; a bound of no pixels is nan."""
    if isnan(stated) and isnan(least + most):
        return
    if not least - LARGEST_ROUNDING <= stated <= most + LARGEST_ROUNDING:
        raise ValueError(
            f'{key} is {stated:g}, but by the sums of its images it lies between '
            f'{least:g} and {most:g}: the file was changed: evaluate the model again'
        )


def _check_errors_and_bins(
    mode: str, metrics: Mapping[str, float], pixels: int
) -> None:
    """Refuse errors and a number of bins that so many pixels do not have.

    No error is below the distance of mean confidence and accuracy.
    """
    distance = abs(metrics['conf'] - metrics['acc'])
    for key in _AT_LEAST_OF_MEANS:
        _check_between(mode + key, metrics.get(key, nan), distance, 1.0)

    sweep_bins = metrics.get('sweep_bins', nan)
    most = nan  # of no pixels
    if pixels:
        most = float(pixels)
    _check_between(f'{mode}sweep_bins', sweep_bins, 1.0, most)
    if not isnan(sweep_bins) and sweep_bins % 1:
        raise ValueError(f'{mode}sweep_bins is {sweep_bins:g}, and no number of bins')


def _largest_error(pooled: BinTable) -> float:
    """At least the mean distance of a pixel's confidence from its outcome."""
    low, high = confidences_of_bins(len(pooled.count))
    wrong = pooled.count - pooled.correct
    most = wrong * high + pooled.correct * (1 - low)
    return float(ratio(most.sum(), pooled.total))


def _bounds_of_ks(pooled: BinTable) -> tuple[float, float]:
    """Least and largest KS error of pixels with these sums per bin.

    At the edges the running sum of confidence less outcome is known. Between two edges
    wrong pixels raise it, and correct ones lower it.
    """
    low, high = confidences_of_bins(len(pooled.count))
    at_end = np.cumsum(pooled.conf - pooled.correct)
    at_start = np.concatenate([[0.0], at_end[:-1]])

    highest = at_start + (pooled.count - pooled.correct) * high
    lowest = at_start - pooled.correct * (1 - low)
    least = np.abs(at_end).max()
    most = max(highest.max(), -lowest.min())
    return float(ratio(least, pooled.total)), float(ratio(most, pooled.total))
