"""Confidence intervals of the metrics by resampling images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..argument_checks import check_integer, check_number
from .band_table import BAND_ERRORS, BORDERS
from .bin_table import BinTable, ratio
from .binned_metrics import binned_metrics, debiased_l2, signed_gap
from .binning import equal_mass_rows
from .fine_bins import SORTED
from .image_table import ImageTable

__all__ = [
    'Resamples',
    'bootstrap',
    'check_resamples',
    'check_resampling',
    'paired_bootstrap',
    'percentiles',
    'resample',
]

Metrics = Mapping[str, float | None]

# What has one value per bin or per band, and not one alone.
PER_BIN = ('bins', 'bands')
# More resamples move no digit that is printed.
MAX_RESAMPLES = 100_000
# Resamples at a time: bounds the memory of the weights at 100 x images.
CHUNK = 100


def bootstrap(
    images: ImageTable,
    resamples: int = 1000,
    seed: int = 0,
    confidence_level: float = 0.95,
    overall: Metrics | None = None,
) -> dict[str, Any]:
    """Percentile intervals over images.

    Pixels of one image depend on each other; images do not. So whole images are drawn
    with replacement, and each resample is pooled over its pixels, as the metrics are.
    With per-image sums a resample is one matrix product, independent of the image size.

    ``ece_em`` of the resamples comes from fine bins, whose pixels are tied
    (``docs/metrics.md`` bounds the error). Its interval is shifted by the value of the
    histogram minus the value of the fine bins of all images, and cut at 0 and 1. There
    is none of ``ece_sweep`` and ``ks``.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    Args:
        images (ImageTable): One row per image.
        resamples (int): Defaults to 1000.
        seed (int): The same seed gives the same intervals. Defaults to 0.
        confidence_level (float): In (0, 1). Defaults to 0.95.
        overall (Mapping, optional): With ``ece_em`` of the histogram of all pixels; nan
            or None where undefined. Defaults to None: no shift.

    Returns:
        dict: ``intervals``: per metric (low, high), without ``ece_em`` if the images
        have no fine bins, and without ``ece_band`` and ``ece_band_true`` if they have
        no bands; ``bins``: ``(2, B)`` low and high
        accuracy per bin. All nan with fewer than two images.

    Raises:
        ValueError: An argument is out of range.
    """
    check_resampling(resamples, confidence_level, seed)
    drawn = resample(images, resamples, seed, overall)
    return {
        'intervals': {
            key: tuple(drawn.interval(key, confidence_level).tolist())
            for key in drawn.values
            if key not in PER_BIN
        },
        'bins': drawn.interval('bins', confidence_level),
    }


def paired_bootstrap(
    first: ImageTable,
    second: ImageTable,
    resamples: int = 1000,
    seed: int = 0,
    confidence_level: float = 0.95,
    overall: tuple[Metrics | None, Metrics | None] = (None, None),
) -> dict[str, dict[str, Any]]:
    """Compare two models on the same images.

    Each resample draws the same images for both models. So an image that is hard for
    both models cancels out.

    Args:
        first (ImageTable): Of the first model.
        second (ImageTable): Of the second model, the same images in the same order.
        resamples (int): Defaults to 1000.
        seed (int): Defaults to 0.
        confidence_level (float): In (0, 1). Defaults to 0.95.
        overall (tuple[Mapping | None, Mapping | None]): Of each model, see
            :func:`bootstrap`. Defaults to none.

    Returns:
        dict[str, dict]: Per metric that both tables give ``first``, ``second``, their
        ``difference`` (second - first), its interval ``low`` and ``high``, and
        ``differs``: whether 0 lies outside of the interval.

    Raises:
        ValueError: The images differ, or an argument is out of range.
    """
    check_resampling(resamples, confidence_level, seed)
    if first.names != second.names:
        raise ValueError('paired comparison needs the same images in the same order')
    one, two = (
        resample(images, resamples, seed, metrics)
        for images, metrics in zip((first, second), overall)
    )
    return one.differences(two, confidence_level)


@dataclass(frozen=True)
class Resamples:
    """Metrics of all images and of resamples of them."""

    values: dict[str, np.ndarray]
    drawn: dict[str, np.ndarray]
    num_images: int

    def interval(self, key: str, confidence_level: float = 0.95) -> np.ndarray:
        """``(2, ...)`` bounds of one metric; nan with fewer than two images."""
        return _interval(self.drawn[key], confidence_level, self.num_images)

    def differences(
        self, second: Resamples, confidence_level: float = 0.95
    ) -> dict[str, dict[str, Any]]:
        """Compare with another model whose resamples drew the same images."""
        comparison = {}
        for key, value in self.values.items():
            if key in PER_BIN or key not in second.values:
                continue
            apart = second.drawn[key] - self.drawn[key]
            low, high = _interval(apart, confidence_level, self.num_images)
            one, two = float(value), float(second.values[key])
            comparison[key] = {
                'first': one,
                'second': two,
                'difference': two - one,
                'low': float(low),
                'high': float(high),
                'differs': bool(low > 0 or high < 0),
            }
        return comparison


def check_resampling(resamples: int, confidence_level: float, seed: int = 0) -> None:
    """Refuse arguments of a bootstrap that are out of range."""
    check_resamples(resamples, least=1)
    hint = ' (a fraction, not per cent)'
    check_number('confidence_level', confidence_level, above=0, below=1, hint=hint)
    check_integer('seed', seed, at_least=0)


def check_resamples(resamples: int, least: int = 0) -> int:
    """Refuse a number of resamples that is out of range."""
    return check_integer('resamples', resamples, at_least=least, at_most=MAX_RESAMPLES)


def percentiles(values: np.ndarray, confidence_level: float) -> np.ndarray:
    """Take the two percentiles with the share ``confidence_level`` between them."""
    tail = (1 - confidence_level) / 2
    with np.errstate(invalid='ignore'):
        return np.quantile(values, [tail, 1 - tail], axis=0)


def _interval(values: np.ndarray, confidence_level: float, images: int) -> np.ndarray:
    """``(2, ...)`` percentiles over the resamples; nan with fewer than two images."""
    if images < 2:
        return np.full((2, *values.shape[1:]), np.nan)
    return percentiles(values, confidence_level)


def resample(
    images: ImageTable,
    resamples: int = 1000,
    seed: int = 0,
    overall: Metrics | None = None,
) -> Resamples:
    """Draw images with replacement, the same ones for tables of as many images."""
    rng = np.random.default_rng(seed)
    parts = []
    for start in range(0, resamples, CHUNK):
        rows = min(CHUNK, resamples - start)
        parts.append(_pooled(images, _weights(rng, rows, len(images))))
    drawn = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    values = _pooled(images)
    if overall is not None and images.fine is not None:
        for key in SORTED:
            value = np.asarray(overall[key], dtype=float)
            drawn[key] = np.clip(drawn[key] + value - values[key], 0, 1)
            values[key] = value
    return Resamples(values, drawn, len(images))


def _weights(rng: np.random.Generator, resamples: int, images: int) -> np.ndarray:
    """``(R, I)`` how often each resample draws each image."""
    if not images:
        return np.zeros((resamples, 0))
    drawn = rng.integers(images, size=(resamples, images))
    drawn += np.arange(resamples)[:, None] * images
    counts = np.bincount(drawn.ravel(), minlength=resamples * images)
    return counts.reshape(resamples, images).astype(np.float64)


def _pooled(
    images: ImageTable, weights: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Metrics of the images together, once or per resample."""
    table = images.table.pooled(weights)
    ece = images.per_image()['ece']
    valid = ~np.isnan(ece)
    ece = np.where(valid, ece, 0)
    ranked = {}
    if images.fine is not None:
        ranked['ece_em'] = _equal_mass_error(images, weights)
    banded = {}
    if images.bands is not None:
        bands = images.bands.pooled(weights)
        errors = binned_metrics(bands)['ece']
        banded = dict(zip(BAND_ERRORS, np.moveaxis(errors, -1, 0)))
        banded['bands'] = signed_gap(bands)[..., BORDERS.index('predicted'), :]
    weights = np.ones(len(images)) if weights is None else weights
    return {
        **binned_metrics(table),
        **ranked,
        **banded,
        'ece_debiased': debiased_l2(table),
        'ece_image': ratio(weights @ ece, weights @ valid),
        'brier': ratio(weights @ images.brier, table.total),
        'nll': ratio(weights @ images.nll, table.total),
        'bins': table.accuracy,
    }


def _equal_mass_error(images: ImageTable, weights: np.ndarray | None) -> np.ndarray:
    """``ece_em`` of the images together, once or per resample, pixels of a bin tied."""
    assert images.fine is not None  # the caller looks
    fine = images.fine.pooled(weights)
    rows = BinTable(*map(np.atleast_2d, (fine.count, fine.correct, fine.conf)))
    parts = equal_mass_rows(rows, images.table.count.shape[-1])
    return binned_metrics(parts)['ece'].reshape(fine.total.shape)
