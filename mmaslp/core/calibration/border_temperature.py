"""Temperatures by distance from the predicted border, and how they are fitted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ..regions import BORDER_EDGES, border_bands, border_values
from .bin_table import BinTable
from .binned_metrics import binned_metrics
from .logit_histogram import LogitHistogram
from .temperature import best_inverse, check_temperature, fit_temperature

__all__ = [
    'BandHistograms',
    'BorderTemperatures',
    'Temperature',
    'as_temperature',
    'divisor',
    'fit_border_temperatures',
    'temperature_text',
]

# Images with errors in a band that weigh as much as the single temperature.
PRIOR_IMAGES = 10
UNIT = 'sqrt(height * width) / 64 pixels'


@dataclass(frozen=True)
class BorderTemperatures:
    r"""A temperature per band of distance from the border of the predicted mask.

    The mask is z > 0 over the whole map, with the pixels that a label would ignore: a
    network in use has no labels. Bands are those of
    :func:`~mmaslp.core.regions.border_bands`. Each T is above 0, so that z / T keeps
    the sign of z, and the mask stays as it is.

    Args:
        temperatures (Sequence[float]): T > 0 of each band, the nearest first.
        edges (Sequence[float]): Upper edges of all bands but the last, ascending, the
            first above 1; in units of :math:`\sqrt{HW} / 64` pixels. Defaults to
            ``BORDER_EDGES``.

    Raises:
        ValueError: If a temperature is no finite number above 0, the edges do not
            ascend from above 1, or there is not one temperature more than edges.

    Example:
        >>> z = torch.full((64, 64), -2.0)
        >>> z[:, 32:] = 2
        >>> by_band = BorderTemperatures((2, 1), edges=(1.5,))
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
            for low, high in zip((1, *edges), edges)
        ):
            raise ValueError(
                f'edges of the bands must ascend from above 1, not {list(edges)}'
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
            f'{t:.4g} ' + ('beyond' if edge is None else f'(< {edge:g})')
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

    Beside the pixels, the errors of each image are counted per band: pixels of one
    image tend to be wrong together, so that the number of images, not of pixels, says
    how well a band is known. Memory is 8 MB per band whatever the number of images;
    everything is integer, so :meth:`merge` is exact in any order.

    Args:
        edges (Sequence[float]): See :class:`BorderTemperatures`. Defaults to
            ``BORDER_EDGES``.

    Attributes:
        bands (list[LogitHistogram]): The nearest first.
        errors (Tensor): ``(B, 2)`` int64, sums over images of the wrong pixels of an
            image and of their square.
    """

    def __init__(self, edges: Sequence[float] = BORDER_EDGES) -> None:
        self.edges = tuple(edges)
        self.bands = [LogitHistogram() for _ in range(len(edges) + 1)]
        self.errors = torch.zeros(len(self.bands), 2, dtype=torch.int64)

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
        wrong = ((logit > 0) != (label == 1)) & (label != ignore_index)
        errors = torch.bincount(index[wrong].long(), minlength=len(self.bands))
        for number, band in enumerate(self.bands):
            inside = index == number
            band.update(logit[inside], label[inside], ignore_index)
        self.errors = self.errors.to(logit.device)
        self.errors += torch.stack([errors, errors.square()], 1)

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
        self.errors += other.errors.to(self.errors.device)

    def sums(self) -> tuple[Tensor, ...]:
        """Return the integers of the state, whose sum over parts is that of the whole.

        Processes add them up in place.
        """
        return (*(each for band in self.bands for each in band.sums()), self.errors)

    def whole(self) -> LogitHistogram:
        """Return the histogram of all pixels, which is that without bands."""
        total = LogitHistogram()
        for band in self.bands:
            total.merge(band)
        return total

    @property
    def support(self) -> list[float]:
        r"""Effective number of images that the errors of each band come from.

        .. math::
            m_b = \Big(\sum_i e_{ib}\Big)^2 \Big/ \sum_i e_{ib}^2

        with the number of wrong pixels :math:`e_{ib}` of image i in band b: the number
        of images if all have as many, 1 if one has them all, 0 if there are none.
        """
        return [
            total**2 / squares if squares else 0.0
            for total, squares in self.errors.tolist()
        ]

    def measures(self, temperatures: Sequence[float], bins: int = 10) -> dict[str, Any]:
        """NLL and calibration of all pixels, each band with its own temperature.

        There has to be a pixel at least.

        Args:
            temperatures (Sequence[float]): T > 0 of each band.
            bins (int): Number of bins of the ECE. Defaults to 10.

        Returns:
            dict: ``nll`` (nat per pixel); ``ece``, top label; ``ece_region``, the mean
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
            sum(t.count for t in tables),
            sum(t.correct for t in tables),
            sum(t.conf for t in tables),
        )
        known = iter(nll.tolist())
        return dict(
            nll=float(nll @ share),
            ece=float(binned_metrics(table)['ece']),
            ece_region=float(gaps @ share),
            nll_band=[next(known) if band.count else None for band in self.bands],
        )


def fit_border_temperatures(
    histograms: BandHistograms, prior_images: float = PRIOR_IMAGES
) -> tuple[BorderTemperatures, list[float | None]]:
    r"""Fit a temperature per band, drawn to the single one where images are few.

    .. math::
        \log T_b = \log T + \frac{m_b}{m_b + n_0} (\log \hat T_b - \log T)

    with the temperature :math:`T` of all pixels, the optimum :math:`\hat T_b` of the
    band's own (both by NLL) and its :attr:`~BandHistograms.support` :math:`m_b`. At
    the optimum :math:`\sum |z| \sigma(-|z| / T)` equals the sum of \|z\| on the wrong
    side, whose relative variance is about 1 / m_b where images differ at random; so
    n_0 is the ratio of that variance, 1, to the variance of the bands' own log T
    around the single one. A band without wrong pixels, or whose optimum is 0 or
    infinite, takes T.

    Args:
        histograms (BandHistograms): Of validation images.
        prior_images (float): n_0 >= 0. Defaults to ``PRIOR_IMAGES``.

    Returns:
        tuple[BorderTemperatures, list[float | None]]: The temperatures, and the bands'
        own optima, None where there is none.

    Raises:
        ValueError: If there is no single temperature, see
            :func:`~mmaslp.core.calibration.temperature.fit_temperature`.
    """
    single = fit_temperature(histograms.whole())
    temperatures, own = [], []
    for band, images in zip(histograms.bands, histograms.support):
        inverse = best_inverse(band) if images else math.inf
        own.append(1 / inverse if 0 < inverse < math.inf else None)
        weight = images / (images + prior_images) if own[-1] is not None else 0.0
        temperatures.append(single * ((own[-1] or single) / single) ** weight)
    return BorderTemperatures(temperatures, histograms.edges), own
