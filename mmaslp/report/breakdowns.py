"""Where confidence errs: confidence minus accuracy of groups of pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.measure import BinTable, signed_gap
from ..core.measure.bootstrap import percentiles, resample
from .analysis import RESAMPLES, ImageSet
from .glossary import BANDS, CONFIDENCE, DISTANCE

# Upper edges of the size of the object, as shares of the valid pixels of an image: the
# area of squares with an eighth, a quarter and half of its side.
SIZE_EDGES = (1 / 64, 1 / 16, 1 / 4)
SIZE_NAMES = ('none', 'up to 1/64', '1/64–1/16', '1/16–1/4', 'above 1/4')


@dataclass(frozen=True)
class Gaps:
    """Pixels of G groups, and the 95 % interval of their gap, ``(G,)`` each."""

    table: BinTable
    low: np.ndarray
    high: np.ndarray

    @property
    def gap(self) -> np.ndarray:
        """Confidence minus accuracy; nan where a group has no pixel."""
        return signed_gap(self.table)


@dataclass(frozen=True)
class Breakdown:
    """One division of the pixels into groups, with the gaps by model."""

    title: str
    axis: str
    groups: tuple[str, ...]
    series: dict[str, Gaps]


def breakdowns(group: ImageSet, resamples: int = RESAMPLES) -> list[Breakdown]:
    """Divide the pixels of one set by confidence, distance and size, where known."""
    found = [_by_confidence(group), _by_distance(group), _by_size(group, resamples)]
    return [each for each in found if each.groups]


def _by_confidence(group: ImageSet) -> Breakdown:
    """Take the bins of the reliability diagram that some model fills."""
    tables = {m.model: m.images.table.pooled() for m in group.members}
    filled = np.flatnonzero(sum(table.count for table in tables.values()))
    series = {}
    for member in group.members:
        table = tables[member.model].take(filled)
        low, high = member.resamples.interval('bins')[:, filled]  # of the accuracy
        series[member.model] = Gaps(
            table, table.mean_conf - high, table.mean_conf - low
        )
    settings = group.members[0].result['settings']
    edges = np.linspace(0, 1, settings['bins'] + 1)
    names = tuple(f'{edges[k]:.3g}–{edges[k + 1]:.3g}' for k in filled)
    return Breakdown('Gap by confidence', CONFIDENCE[settings['mode']], names, series)


def _by_distance(group: ImageSet) -> Breakdown:
    series = {}
    for member in group.members:
        if member.images.bands is not None:
            table = member.images.bands.pooled().take(0)
            series[member.model] = Gaps(table, *member.resamples.interval('bands'))
    names = BANDS if series else ()
    return Breakdown('Gap by distance from the border', DISTANCE, names, series)


def _by_size(group: ImageSet, resamples: int) -> Breakdown:
    series, filled = {}, []
    for member in group.members:
        images = member.images
        if images.foreground is None or not images.num_pixels.any():
            continue
        share = images.foreground / np.maximum(images.num_pixels, 1)
        sizes = np.where(share > 0, 1 + np.searchsorted(SIZE_EDGES, share), 0)
        sizes[images.num_pixels == 0] = -1
        filled = np.unique(sizes[sizes >= 0])  # the same for all: they share the masks
        sums, bounds = [], []
        for each in filled:
            part = images.take(np.flatnonzero(sizes == each))
            sums.append([column.sum() for column in vars(part.table).values()])
            drawn = resample(part, resamples).drawn
            gap = percentiles(drawn['conf'] - drawn['acc'], 0.95)
            bounds.append(gap if len(part) > 1 else [np.nan, np.nan])
        series[member.model] = Gaps(
            BinTable(*np.transpose(sums)), *np.transpose(bounds)
        )
    names = tuple(SIZE_NAMES[each] for each in filled)
    axis = 'object (share of the pixels of an image)'
    return Breakdown('Gap by size of the object', axis, names, series)
