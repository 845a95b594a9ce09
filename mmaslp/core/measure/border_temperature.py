"""Temperatures by distance from the predicted border, and how they are fitted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ..bands import BORDER_EDGES, border_bands, border_values
from .bin_table import BinTable
from .binned_metrics import binned_metrics
from .logit_histogram import LogitHistogram
from .temperature import (
    MAX_TEMPERATURE,
    best_inverse,
    check_temperature,
    fit_temperature,
)

__all__ = [
    'BandHistograms',
    'BorderTemperatures',
    'Temperature',
    'as_temperature',
    'divisor',
    'fit_border_temperatures',
    'temperature_record',
    'temperature_text',
]

# Mean images that every band is fitted with beside its own pixels.
PRIOR_IMAGES = 0.2
UNIT = 'sqrt(height * width) / 64 pixels'


@dataclass(frozen=True)
class BorderTemperatures:
    r"""A temperature per band of distance from the border of the predicted mask.

    The mask is z > 0 over the whole map, with the pixels that a label would ignore: a
    network in use has no labels. Bands are those of
    :func:`~mmaslp.core.bands.border_bands`. Each T is above 0, so that z / T keeps
    the sign of z, and the mask stays as it is.

    Args:
        temperatures (Sequence[float]): T > 0 of each band, the nearest first.
        edges (Sequence[float]): Upper edges of all bands but the last, ascending, above
            0, in units of :math:`\sqrt{HW} / 64` pixels. Defaults to ``BORDER_EDGES``.

    Raises:
        ValueError: If a temperature is no finite number above 0, the edges do not
            ascend from above 0, or there is not one temperature more than edges.

    Example:
        >>> z = torch.full((64, 64), -2.0)
        >>> z[:, 32:] = 2
        >>> by_band = BorderTemperatures((2, 1), edges=(1,))
        >>> (z / by_band.per_pixel(z))[0, 29:34].tolist()
        [-2.0, -2.0, -1.0, 1.0, 2.0]
    """

    temperatures: Sequence[float]
    edges: Sequence[float] = BORDER_EDGES

    def __post_init__(self) -> None:
        """Check, and keep as tuples of floats."""
        for name in ('temperatures', 'edges'):
            if not isinstance(getattr(self, name), Sequence):
                raise ValueError(
                    f'{name} by region must be a list, not {getattr(self, name)!r}'
                )
        temperatures = tuple(check_temperature(t) for t in self.temperatures)
        edges = tuple(self.edges)
        if not all(
            isinstance(high, (int, float)) and low < high < math.inf
            for low, high in zip((0, *edges), edges)
        ):
            raise ValueError(
                f'edges of the bands must ascend from above 0, not {list(edges)}'
            )
        if len(temperatures) != len(edges) + 1:
            raise ValueError(
                f'{len(edges)} edges make {len(edges) + 1} bands, but there are '
                f'{len(temperatures)} temperatures'
            )
        object.__setattr__(self, 'temperatures', temperatures)
        object.__setattr__(self, 'edges', tuple(map(float, edges)))

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> BorderTemperatures:
        """Make them from :meth:`record`, which may hold more.

        Args:
            record (Mapping[str, Any]): With ``kind``, ``edges``, ``unit`` and
                ``temperatures``.

        Raises:
            ValueError: If something is missing or not as this class writes it.
        """
        if not isinstance(record, Mapping):
            raise ValueError(f'regions must be a mapping, not {record!r}')
        for key, known in (('kind', 'border'), ('unit', UNIT)):
            if record.get(key) != known:
                raise ValueError(
                    f'{key} of the regions must be {known!r}, not {record.get(key)!r}'
                )
        if missing := {'edges', 'temperatures'} - record.keys():
            raise ValueError(f'regions lack {" and ".join(sorted(missing))}')
        return cls(record['temperatures'], record['edges'])

    def record(self) -> dict[str, Any]:
        """Return what :meth:`from_record` reads: plain numbers, lists and text."""
        return dict(
            kind='border',
            edges=list(self.edges),
            unit=UNIT,
            temperatures=list(self.temperatures),
        )

    def per_pixel(self, logit: Tensor) -> Tensor:
        """Temperature of every pixel of one image.

        Args:
            logit (Tensor): ``(H, W)`` floating point, of the positive class, at the
                resolution of the probabilities.

        Returns:
            Tensor: ``(H, W)``, of the dtype and device of ``logit``.
        """
        values = logit.new_tensor(self.temperatures)
        return border_values((logit > 0)[None], values, edges=self.edges)[0]

    def __str__(self) -> str:
        """Name each band by its upper edge."""
        pairs = zip(self.temperatures, (*self.edges, None))
        return ', '.join(
            f'{t:.4g} ' + ('beyond' if edge is None else f'(to {edge:g})')
            for t, edge in pairs
        )


Temperature: TypeAlias = float | BorderTemperatures


def as_temperature(given: Any) -> Temperature:
    """Return the temperature that a config or a file names.

    Args:
        given (float | Mapping | BorderTemperatures): T > 0, or
            :meth:`BorderTemperatures.record`.

    Raises:
        ValueError: If it is neither.
    """
    if isinstance(given, BorderTemperatures):
        return given
    if isinstance(given, Mapping):
        return BorderTemperatures.from_record(given)
    return check_temperature(given)


def temperature_record(temperature: Temperature) -> float | dict[str, Any]:
    """Return plain numbers that :func:`as_temperature` reads.

    Args:
        temperature (float | BorderTemperatures): The temperature.
    """
    if isinstance(temperature, BorderTemperatures):
        return temperature.record()
    return temperature


def temperature_text(temperature: Temperature) -> str:
    """Show a temperature to people.

    Args:
        temperature (float | BorderTemperatures): The temperature.
    """
    if isinstance(temperature, BorderTemperatures):
        return f'by region, {temperature}'
    return f'{temperature:.6g}'


def divisor(logit: Tensor, temperature: Temperature) -> float | Tensor:
    """What the logits of one image are divided by.

    Args:
        logit (Tensor): ``(H, W)`` floating point, of the positive class, at the
            resolution of the probabilities.
        temperature (float | BorderTemperatures): The temperature.

    Returns:
        float | Tensor: T, or ``(H, W)`` the T of every pixel.
    """
    if isinstance(temperature, BorderTemperatures):
        return temperature.per_pixel(logit)
    return temperature


class BandHistograms:
    """A :class:`LogitHistogram` of each band of distance from the predicted border.

    Memory is 8 MB per band whatever the number of images; everything is integer, so
    :meth:`merge` is exact in any order.

    Args:
        edges (Sequence[float]): See :class:`BorderTemperatures`. Defaults to
            ``BORDER_EDGES``.

    Attributes:
        bands (list[LogitHistogram]): The nearest first.
        images (Tensor): int64, number of images.
    """

    def __init__(self, edges: Sequence[float] = BORDER_EDGES) -> None:
        self.edges = tuple(edges)
        self.bands = [LogitHistogram() for _ in range(len(edges) + 1)]
        self.images = torch.zeros((), dtype=torch.int64)

    def update(
        self,
        logit: Tensor | np.ndarray,
        label: Tensor | np.ndarray,
        ignore_index: int = 255,
    ) -> None:
        """Count the pixels of one image.

        Args:
            logit (Tensor | np.ndarray): ``(H, W)`` floating point, of the positive
                class, at the resolution of the probabilities.
            label (Tensor | np.ndarray): ``(H, W)`` of {0, 1, ignore_index}.
            ignore_index (int): Label of pixels that count nowhere, though their logits
                make borders. Defaults to 255.

        Raises:
            ValueError: See :meth:`LogitHistogram.update`; or shapes differ.
        """
        logit, label = torch.as_tensor(logit), torch.as_tensor(label)
        if logit.dim() != 2 or logit.shape != label.shape:
            raise ValueError(
                'logit and label of one image must both be (H, W), but are '
                f'{tuple(logit.shape)} and {tuple(label.shape)}'
            )
        label = label.to(logit.device)
        index = border_bands((logit > 0)[None], edges=self.edges)[0]
        for number, band in enumerate(self.bands):
            inside = index == number
            band.update(logit[inside], label[inside], ignore_index)
        self.images += 1

    def merge(self, other: BandHistograms) -> None:
        """Add the images of other histograms, which stay as they are.

        Args:
            other (BandHistograms): The others, of the same edges.

        Raises:
            ValueError: If the edges differ.
        """
        if other.edges != self.edges:
            raise ValueError(f'bands with edges {other.edges} and {self.edges} differ')
        for band, added in zip(self.bands, other.bands):
            band.merge(added)
        self.images += other.images

    def sums(self) -> tuple[Tensor, ...]:
        """Return the integers of the state, whose sum over parts is that of the whole.

        Processes add them up in place.
        """
        return (*(each for band in self.bands for each in band.sums()), self.images)

    def whole(self) -> LogitHistogram:
        """Return the histogram of all pixels, which is that without bands."""
        total = LogitHistogram()
        for band in self.bands:
            total.merge(band)
        return total

    def measures(self, temperatures: Sequence[float], bins: int = 10) -> dict[str, Any]:
        """NLL and calibration of all pixels, each band with its own temperature.

        There has to be a pixel at least.

        Args:
            temperatures (Sequence[float]): T > 0 of each band.
            bins (int): Number of bins of the ECE. Defaults to 10.

        Returns:
            dict: ``nll`` (nat per pixel); ``ece``, top label; ``ece_band``, the mean
            over pixels of the absolute gap of confidence and accuracy of the pixel's
            band; ``nll_band``, that of each band, None without pixels.
        """
        filled = [(b, t) for b, t in zip(self.bands, temperatures) if b.count]
        share = np.array([band.count for band, _ in filled], np.float64)
        share /= share.sum()
        nll = np.array([band.nll(t) for band, t in filled])
        gaps = np.array([band.ece(t, bins=1) for band, t in filled])
        tables = [band.bin_table(t, bins) for band, t in filled]
        table = BinTable(
            np.stack([t.count for t in tables]),
            np.stack([t.correct for t in tables]),
            np.stack([t.conf for t in tables]),
        ).pooled()
        known = iter(nll.tolist())
        return dict(
            nll=float(nll @ share),
            ece=float(binned_metrics(table)['ece']),
            ece_band=float(gaps @ share),
            nll_band=[next(known) if band.count else None for band in self.bands],
        )


def fit_border_temperatures(
    histograms: BandHistograms, prior_images: float = PRIOR_IMAGES
) -> BorderTemperatures:
    r"""Fit a temperature per band, with mean images of the whole set added to each.

    .. math::
        T_b = \arg\min_T \sum_{i \in b} \ell_i(T) + \frac{n_0}{n} \sum_i \ell_i(T)

    with the NLL :math:`\ell_i` of pixel i and n images. Pixels of one image tend to be
    wrong together, so the unit of the prior is an image: a band is fitted as though
    n_0 more images had been seen in it whose pixels are those of the whole set. Bands
    seen in many images keep their own optimum. One without a pixel takes the single
    temperature, and one without an error, whose own optimum is 0, gets one above 0. The
    sum is convex in 1 / T.

    Args:
        histograms (BandHistograms): Of validation images.
        prior_images (float): n_0 > 0. Defaults to ``PRIOR_IMAGES``.

    Returns:
        BorderTemperatures: In [2**-10, 2**10]; optima beyond are taken as the end.

    Raises:
        ValueError: If there is no single temperature, see
            :func:`~mmaslp.core.measure.temperature.fit_temperature`.
    """
    whole = histograms.whole()
    single = fit_temperature(whole)
    prior = prior_images * whole.count / int(histograms.images)

    def fitted(band: LogitHistogram) -> float:
        if not band.count:
            return single

        def balance(inverse: float) -> float:
            return band.count * band.balance(inverse) + prior * whole.balance(inverse)

        inverse = best_inverse(balance)
        return 1 / min(max(inverse, 1 / MAX_TEMPERATURE), MAX_TEMPERATURE)

    temperatures = [fitted(band) for band in histograms.bands]
    return BorderTemperatures(temperatures, histograms.edges)
