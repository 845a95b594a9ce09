"""Where confidence errs: confidence minus accuracy of groups of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.bands import BORDER_EDGES
from ..core.measure import BinTable, ImageTable, signed_gap
from ..core.measure.bootstrap import Resamples, resample
from .analysis import RESAMPLES, Analysis, ImageSet
from .bands import DISTANCE, band_names

__all__ = ['Breakdown', 'Gaps', 'breakdowns', 'by_set']

# Upper edges of the size of the object, as shares of the valid pixels of an image: the
# area of squares with an eighth, a quarter and half of its side.
SIZE_EDGES = (1 / 64, 1 / 16, 1 / 4)
SIZE_NAMES = ('none', 'up to 1/64', '1/64–1/16', '1/16–1/4', 'above 1/4')


@dataclass(frozen=True)
class Gaps:
    """Figures of G groups, each ``(G,)``; nan where a group has no pixel.

    ``low`` and ``high`` are the 95 % interval of the gap, confidence minus accuracy.
    """

    gap: np.ndarray
    low: np.ndarray
    high: np.ndarray
    share: np.ndarray
    accuracy: np.ndarray
    confidence: np.ndarray


@dataclass(frozen=True)
class Breakdown:
    """One division of the pixels into groups, with the figures by model."""

    title: str
    axis: str
    groups: tuple[str, ...]
    series: dict[str, Gaps]


def breakdowns(group: ImageSet, resamples: int = RESAMPLES) -> list[Breakdown]:
    """Divide the pixels of one set by confidence, distance and size, where known."""
    found = [_by_confidence(group), _by_distance(group), _by_size(group, resamples)]
    return [each for each in found if each.series and each.groups]


def by_set(analysis: Analysis) -> Breakdown | None:
    """Take all pixels of each set as a group; None for a single set."""
    if len(analysis.sets) < 2:
        return None
    nothing = _one(np.nan, (np.nan, np.nan), np.nan, np.nan, np.nan)
    series = {}
    for model in analysis.models:
        own = [
            [m for m in group.members if m.model == model] for group in analysis.sets
        ]
        series[model] = _joined(
            [_whole(each[0].resamples) if each else nothing for each in own]
        )
    names = tuple(group.name for group in analysis.sets)
    return Breakdown('Gap of every set', 'set', names, series)


def _by_confidence(group: ImageSet) -> Breakdown:
    """Take the bins of the reliability diagram."""
    tables = {m.model: m.images.table.pooled() for m in group.members}
    filled = np.flatnonzero(sum(table.count for table in tables.values()) > 0)
    series = {}
    for member in group.members:
        table = tables[member.model]
        low, high = member.resamples.interval('bins')
        gaps = _gaps(table, table.mean_conf - high, table.mean_conf - low)
        series[member.model] = Gaps(*(values[filled] for values in vars(gaps).values()))
    ends = np.linspace(0, 1, len(next(iter(tables.values())).count) + 1)
    positive = group.members[0].result['settings']['mode'] == 'positive'
    return Breakdown(
        'Gap by confidence',
        'probability of foreground' if positive else 'confidence in the prediction',
        tuple(f'{ends[place]:.3g}–{ends[place + 1]:.3g}' for place in filled),
        series,
    )


def _by_distance(group: ImageSet) -> Breakdown:
    series = {}
    for member in group.members:
        if member.images.bands is not None:
            table = member.images.bands.pooled().take(0)
            series[member.model] = _gaps(table, *member.resamples.interval('bands'))
    names = tuple(band_names(BORDER_EDGES))
    return Breakdown('Gap by distance from the border', DISTANCE, names, series)


def _by_size(group: ImageSet, resamples: int) -> Breakdown:
    members = [m for m in group.members if m.images.foreground is not None]
    sizes = _size_groups(members[0].images) if members else np.empty(0)
    filled = [place for place in range(len(SIZE_NAMES)) if (sizes == place).any()]
    members = members if filled else []
    series = {}
    for member in members:
        parts = [member.images.take(np.flatnonzero(sizes == each)) for each in filled]
        pixels = max(member.images.num_pixels.sum(), 1)
        series[member.model] = _joined(
            [
                _whole(resample(part, resamples), float(part.num_pixels.sum() / pixels))
                for part in parts
            ]
        )
    return Breakdown(
        'Gap by size of the object',
        'object (share of the pixels of an image)',
        tuple(SIZE_NAMES[place] for place in filled),
        series,
    )


def _size_groups(images: ImageTable) -> np.ndarray:
    """``(I,)`` place in ``SIZE_NAMES`` of every image; -1 without valid pixels."""
    sizes = np.asarray(images.foreground)
    pixels = np.maximum(images.num_pixels, 1)
    place = 1 + np.searchsorted(SIZE_EDGES, sizes / pixels)
    return np.where(images.num_pixels == 0, -1, np.where(sizes == 0, 0, place))


def _gaps(table: BinTable, low: np.ndarray, high: np.ndarray) -> Gaps:
    return Gaps(
        signed_gap(table), low, high, table.weight, table.accuracy, table.mean_conf
    )


def _whole(drawn: Resamples, share: float = 1.0) -> Gaps:
    """Take all pixels of some images as one group."""
    acc, conf = float(drawn.values['acc']), float(drawn.values['conf'])
    bounds = (np.nan, np.nan)
    if drawn.num_images > 1:
        bounds = np.quantile(drawn.drawn['conf'] - drawn.drawn['acc'], [0.025, 0.975])
    return _one(conf - acc, bounds, share, acc, conf)


def _one(gap: float, bounds: Sequence[float], *rest: float) -> Gaps:
    return Gaps(*(np.array([value], float) for value in (gap, *bounds, *rest)))


def _joined(parts: Sequence[Gaps]) -> Gaps:
    columns = zip(*(vars(part).values() for part in parts))
    return Gaps(*(np.concatenate(column) for column in columns))
