"""Confidence intervals of the figures by resampling images."""

import numpy as np

from .bin_table import BinTable, ratio
from .binned_metrics import binned_figures, debiased_l2
from .sorted_metrics import TIED, tied_figures

# Resamples at a time: bounds the memory of the weights at 100 x images.
CHUNK = 100


def bootstrap(images, resamples=1000, seed=0, level=0.95, exact=None):
    """Percentile intervals over images.

    Pixels of one image are not independent, images are: so whole images are drawn with
    replacement, and each resample is pooled over its pixels as the figures are. The
    per-image sums make a resample one matrix product, whatever the image size.

    ``ece_em``, ``ece_sweep`` and ``ks`` of the resamples come from narrow bins, within
    the bounds of :func:`~.calibration.tied_figures`. Their intervals are shifted by the
    exact figure less that of the narrow bins of all images, and stay in [0, 1].

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    Args:
        images (ImageTable): One row per image.
        resamples (int): Defaults to 1000.
        seed (int): The same seed gives the same intervals. Defaults to 0.
        level (float): Coverage in (0, 1). Defaults to 0.95.
        exact (dict, optional): ``ece_em``, ``ece_sweep`` and ``ks`` of the histogram
            of all pixels; nan or None where undefined. Defaults to None: no shift.

    Returns:
        dict: ``intervals``: per figure (low, high), without ``ece_em``, ``ece_sweep``
        and ``ks`` if the images have no narrow bins; ``bins``: (2, B) low and high
        accuracy per bin. All nan with fewer than two images.

    Raises:
        ValueError: ``level`` or ``resamples`` is out of range.
    """
    check_resampling(resamples, level)
    _, drawn = _resampled(images, resamples, seed, exact)
    return {
        'intervals': {
            key: tuple(_interval(values, level, len(images)).tolist())
            for key, values in drawn.items()
            if key != 'bins'
        },
        'bins': _interval(drawn['bins'], level, len(images)),
    }


def paired_bootstrap(
    first, second, resamples=1000, seed=0, level=0.95, exact=(None, None)
):
    """Compare two models on the same images.

    Both are resampled with the same images, so that what makes an image hard for
    both cancels out.

    Args:
        first (ImageTable): Of the first model.
        second (ImageTable): Of the second model, the same images in the same order.
        resamples (int): Defaults to 1000.
        seed (int): Defaults to 0.
        level (float): Coverage in (0, 1). Defaults to 0.95.
        exact (tuple[dict | None, dict | None]): Of each model, see :func:`bootstrap`.
            Defaults to none.

    Returns:
        dict[str, dict]: Per figure that both tables give ``first``, ``second``, their
        ``difference`` (second - first), its interval ``low`` and ``high``, and
        ``differs``: whether 0 lies outside of the interval.

    Raises:
        ValueError: The images differ, or an argument is out of range.
    """
    check_resampling(resamples, level)
    if first.names != second.names:
        raise ValueError('paired comparison needs the same images in the same order')
    values, drawn = zip(
        *(
            _resampled(images, resamples, seed, figures)
            for images, figures in zip((first, second), exact)
        )
    )
    comparison = {}
    for key in values[0]:
        if key == 'bins' or key not in values[1]:
            continue
        low, high = _interval(drawn[1][key] - drawn[0][key], level, len(first))
        one, two = float(values[0][key]), float(values[1][key])
        comparison[key] = {
            'first': one,
            'second': two,
            'difference': two - one,
            'low': float(low),
            'high': float(high),
            'differs': bool(low > 0 or high < 0),
        }
    return comparison


def check_resampling(resamples, level):
    """Refuse a number of resamples or a coverage out of range.

    Args:
        resamples (int): At least 1.
        level (float): In (0, 1).

    Raises:
        ValueError: Otherwise.
    """
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(
            f'resamples must be at least 1 and level in (0, 1), not {resamples} '
            f'and {level}'
        )


def percentiles(values, level):
    """Take the two percentiles that hold the share ``level`` between them.

    Args:
        values (np.ndarray): ``(R, ...)``, one per resample.
        level (float): Coverage in (0, 1).

    Returns:
        np.ndarray: ``(2, ...)``; nan where one of the resamples is undefined.
    """
    tail = (1 - level) / 2
    with np.errstate(invalid='ignore'):
        return np.quantile(values, [tail, 1 - tail], axis=0)


def _interval(values, level, images):
    """(2, ...) percentiles over the resamples; nan with fewer than two images."""
    if images < 2:
        return np.full((2, *values.shape[1:]), np.nan)
    return percentiles(values, level)


def _resampled(images, resamples, seed, exact):
    """Figures of the images, and of all resamples (R,) each; with ``bins`` (..., B)."""
    rng = np.random.default_rng(seed)
    parts = []
    for start in range(0, resamples, CHUNK):
        rows = min(CHUNK, resamples - start)
        parts.append(_pooled(images, _weights(rng, rows, len(images))))
    drawn = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    values = _pooled(images)
    if exact is not None and images.narrow is not None:
        for key in TIED:
            figure = np.asarray(exact[key], dtype=float)
            drawn[key] = np.clip(drawn[key] + figure - values[key], 0, 1)
            values[key] = figure
    return values, drawn


def _weights(rng, resamples, images):
    """(R, I) how often each resample draws each image."""
    if not images:
        return np.zeros((resamples, 0))
    drawn = rng.integers(images, size=(resamples, images))
    drawn += np.arange(resamples)[:, None] * images
    counts = np.bincount(drawn.ravel(), minlength=resamples * images)
    return counts.reshape(resamples, images).astype(np.float64)


def _pooled(images, weights=None):
    """Figures of the images together, once or per resample."""
    table: BinTable = images.table.pooled(weights)
    ece = images.per_image()['ece']
    valid = ~np.isnan(ece)
    ece = np.where(valid, ece, 0)
    tied = {}
    if images.narrow is not None:
        tied = tied_figures(images.narrow.pooled(weights), images.table.count.shape[-1])
    weights = np.ones(len(images)) if weights is None else weights
    return {
        **binned_figures(table),
        **tied,
        'ece_debiased': debiased_l2(table),
        'ece_image': ratio(weights @ ece, weights @ valid),
        'brier': ratio(weights @ images.brier, table.total),
        'nll': ratio(weights @ images.nll, table.total),
        'bins': table.mean_right,
    }
