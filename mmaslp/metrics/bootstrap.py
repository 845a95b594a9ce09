"""Confidence intervals of the metrics by resampling images."""

from dataclasses import dataclass

import numpy as np

from ..common.arguments import check_integer
from .image_metrics import image_metrics
from .image_table import ImageTable

# Share of the resamples on each side of an interval.
TAIL = (1 - 0.95) / 2
# Share of checks of equal networks that may raise an alarm, all metrics together.
ALARM = 1e-3
# More would take hours and change no digit that is shown.
MOST_RESAMPLES = 100_000
# Resamples at a time: bounds the memory of the weights at 100 x images.
CHUNK = 100


@dataclass(frozen=True)
class Difference:
    """A metric of two models.

    Attributes:
        first (float): That of the first model; also ``second``.
        difference (float): Second minus first.
        low (float): Lower 95 % bound of the difference; also ``high``.
        differs (bool): Whether the interval excludes 0.
        unbiased (float): The difference, without what the bootstrap shows to come from
            the number of images, as an ECE of few images is too high.
        error (float): Its standard error.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    differs: bool
    unbiased: float
    error: float


@dataclass(frozen=True)
class Resamples:
    """Metrics of all images and of R resamples of them."""

    values: dict[str, np.ndarray]  # of all images
    drawn: dict[str, np.ndarray]  # of resamples, (R,)
    num_images: int

    def interval(self, key: str) -> np.ndarray:
        """``(2,)`` 95 % bounds of one metric; nan with fewer than two images."""
        values = self.drawn[key]
        return percentiles(values if self.num_images > 1 else values * np.nan)


def differences(first: Resamples, second: Resamples) -> dict[str, Difference]:
    """Compare two models, second minus first, metric by metric.

    Both have as many resamples, of the same images where they are to be paired.
    """
    comparison = {}
    for key in [key for key in first.values if key in second.values]:
        one, two = (float(side.values[key]) for side in (first, second))
        drawn = second.drawn[key] - first.drawn[key]
        if min(first.num_images, second.num_images) < 2:
            drawn = np.full_like(drawn, np.nan)

        low, high = percentiles(drawn).tolist()
        comparison[key] = Difference(
            one,
            two,
            two - one,
            low,
            high,
            low > 0 or high < 0,
            unbiased=float(2 * (two - one) - drawn.mean()),
            error=float(np.sqrt(drawn.var())),
        )
    return comparison


def check_resamples(resamples: int, least: int = 0) -> int:
    """Refuse a number of resamples that is out of range."""
    if resamples == 1:
        raise ValueError('resamples must be an integer above 1 (or 0: no intervals)')
    return check_integer('resamples', resamples, at_least=least, at_most=MOST_RESAMPLES)


def percentiles(values: np.ndarray) -> np.ndarray:
    """Take the two percentiles with 95 % of the values between them."""
    with np.errstate(invalid='ignore'):
        return np.quantile(values, [TAIL, 1 - TAIL], axis=0)


def resample(images: ImageTable, resamples: int = 1000, seed: int = 0) -> Resamples:
    """Draw images with replacement, the same ones for tables of as many images.

    Pixels of one image depend on each other, so whole images are drawn, and each
    resample is pooled over its pixels, as the metrics are. Metrics that sort all pixels
    (``ece_em``, ``ece_sweep``, ``ks``) are not among them.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    check_resamples(resamples, least=2)
    rng = np.random.default_rng(check_integer('seed', seed, at_least=0))
    sizes = [min(CHUNK, resamples - start) for start in range(0, resamples, CHUNK)]
    parts = [
        image_metrics(images, draw_weights(len(images), size, rng)) for size in sizes
    ]
    drawn = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return Resamples(image_metrics(images), drawn, len(images))


def draw_weights(images: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """``(R, I)`` how often each resample draws each image."""
    if not images:
        return np.zeros((resamples, 0))
    drawn = rng.integers(images, size=(resamples, images))
    drawn += np.arange(resamples)[:, None] * images
    return (
        np.bincount(drawn.ravel(), minlength=resamples * images)
        .reshape(resamples, images)
        .astype(np.float64)
    )
