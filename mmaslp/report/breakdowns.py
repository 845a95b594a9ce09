"""Where confidence errs: confidence minus accuracy of groups of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.measure import BinTable, ImageTable, signed_gap
from ..core.measure.bootstrap import Resamples, percentiles, resample
from .analysis import RESAMPLES, Analysis, ImageSet
from .glossary import BANDS, CONFIDENCE, DISTANCE

__all__ = ['Breakdown', 'Gaps', 'breakdowns', 'by_set']

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


def by_set(analysis: Analysis) -> list[Breakdown]:
    """Take all pixels of each set as a group; nothing for a single set."""
    nothing = BinTable(*np.zeros((3, 1))), [np.nan, np.nan]
    series = {}
    for model in analysis.models:
        parts = []
        for group in analysis.sets:
            own = [
                _whole(m.images, m.resamples) for m in group.members if m.model == model
            ]
            parts.append(own[0] if own else nothing)
        series[model] = _joined(parts)
    names = tuple(group.name for group in analysis.sets)
    found = [Breakdown('Gap of every set', 'set', names, series)]
    return found if len(names) > 1 else []


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
        if member.images.foreground is None or not len(member.images):
            continue
        sizes = _size_groups(member.images)  # the same for all: they share the masks
        filled = np.unique(sizes[sizes >= 0])
        parts = [member.images.take(np.flatnonzero(sizes == each)) for each in filled]
        series[member.model] = _joined(
            [_whole(part, resample(part, resamples)) for part in parts]
        )
    names = tuple(SIZE_NAMES[each] for each in filled)
    axis = 'object (share of the pixels of an image)'
    return Breakdown('Gap by size of the object', axis, names, series)


def _size_groups(images: ImageTable) -> np.ndarray:
    """``(I,)`` place in ``SIZE_NAMES`` of every image; -1 without valid pixels."""
    sizes = np.asarray(images.foreground)
    pixels = np.maximum(images.num_pixels, 1)
    place = 1 + np.searchsorted(SIZE_EDGES, sizes / pixels)
    return np.where(images.num_pixels == 0, -1, np.where(sizes == 0, 0, place))


def _whole(images: ImageTable, drawn: Resamples) -> tuple[BinTable, Sequence[float]]:
    """All pixels of some images as one group, and the interval of its gap."""
    sums = vars(images.table.pooled()).values()
    table = BinTable(*(each.sum(keepdims=True) for each in sums))
    if len(images) < 2:
        return table, [np.nan, np.nan]
    return table, percentiles(drawn.drawn['conf'] - drawn.drawn['acc'], 0.95)


def _joined(parts: Sequence[tuple[BinTable, Sequence[float]]]) -> Gaps:
    sums = [np.concatenate(each) for each in zip(*(vars(t).values() for t, _ in parts))]
    return Gaps(BinTable(*sums), *np.array([bounds for _, bounds in parts]).T)
