"""Where confidence errs: confidence minus accuracy of groups of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.measure import BinTable, ImageTable, signed_gap
from ..core.measure.bootstrap import resample
from .analysis import RESAMPLES, Analysis, Estimate, ImageSet, Measured, number
from .bands import band_names

__all__ = ['Breakdown', 'Point', 'Series', 'breakdowns', 'by_confidence', 'by_set']

# Upper edges of the size of the object, as shares of the valid pixels of an image: the
# area of squares with an eighth, a quarter and half of its side.
SIZE_EDGES = (1 / 64, 1 / 16, 1 / 4)
SIZE_NAMES = ('none', 'up to 1/64', '1/64 to 1/16', '1/16 to 1/4', 'above 1/4')


@dataclass(frozen=True)
class Point:
    """A group of pixels.

    Args:
        gap (Estimate): Mean confidence minus accuracy.
        share (float): Of all pixels.
        accuracy (float): Of the group.
        confidence (float): Of the group.
        images (int | None): Number of images, where the group consists of images.
    """

    gap: Estimate
    share: float
    accuracy: float
    confidence: float
    images: int | None = None


@dataclass(frozen=True)
class Series:
    """The groups of one model; None where a group has no pixel."""

    name: str
    index: int
    points: tuple[Point | None, ...]


@dataclass(frozen=True)
class Breakdown:
    """One division of the pixels into groups.

    Args:
        title (str): What they are divided by.
        axis (str): What the groups are named in.
        groups (tuple[str, ...]): Names of the groups.
        series (tuple[Series, ...]): One per model.
        note (str): What to know about it; may be empty.
        edges (tuple[tuple[float, float], ...]): Of groups that are bins.
    """

    title: str
    axis: str
    groups: tuple[str, ...]
    series: tuple[Series, ...]
    note: str = ''
    edges: tuple[tuple[float, float], ...] = ()


def breakdowns(group: ImageSet, resamples: int = RESAMPLES) -> list[Breakdown]:
    """Divide the pixels of one set by confidence, distance and size, where known.

    Args:
        group (ImageSet): Models on the same images.
        resamples (int): For the intervals by size. Defaults to 1000.
    """
    found = [by_confidence(group)]
    distance = [m for m in group.members if m.entry.images.bands is not None]
    if distance:
        found.append(_by_distance(distance))
    sized = [m for m in group.members if m.entry.images.foreground is not None]
    if sized:
        found.append(_by_size(sized, resamples))
    return found


def by_confidence(group: ImageSet) -> Breakdown:
    """The bins of the reliability diagram."""
    counts = [m.entry.images.table.pooled().count for m in group.members]
    filled = np.flatnonzero(sum(counts) > 0)
    number_of_bins = len(counts[0])
    settings = group.members[0].entry.result['settings']
    positive = settings['mode'] == 'positive'
    series = []
    for member in group.members:
        points = _points(
            member.entry.images.table.pooled(), *_accuracy_bounds(member), True
        )
        series.append(_series(member, [points[place] for place in filled]))
    ends = np.linspace(0, 1, number_of_bins + 1).tolist()
    edges = tuple((ends[place], ends[place + 1]) for place in filled)
    return Breakdown(
        'By confidence',
        'probability' if positive else 'confidence',
        tuple(f'{left:.3g}–{right:.3g}' for left, right in edges),
        tuple(series),
        'The gaps of the reliability diagram.',
        edges,
    )


def by_set(analysis: Analysis) -> Breakdown | None:
    """All pixels of each set; None for a single set."""
    if len(analysis.sets) < 2:
        return None
    series = []
    for index, model in enumerate(analysis.models):
        points = []
        for group in analysis.sets:
            own = [m for m in group.members if m.entry.model == model]
            points.append(_whole(own[0]) if own else None)
        series.append(Series(model, index, tuple(points)))
    return Breakdown(
        'By set', 'set', tuple(group.name for group in analysis.sets), tuple(series)
    )


def _by_distance(members: Sequence[Measured]) -> Breakdown:
    series = []
    for member in members:
        table = member.entry.images.bands.pooled().take(0)
        low, high = member.resamples.interval('bands')
        series.append(_series(member, _points(table, low, high)))
    edges = members[0].entry.images.bands.edges
    return Breakdown(
        'By distance from the predicted border',
        'distance in 1/64 of the side of the image',
        tuple(band_names(edges)),
        tuple(series),
        'The last band also holds images without a border.',
    )


def _by_size(members: Sequence[Measured], resamples: int) -> Breakdown:
    groups = _size_groups(members[0].entry.images.take(members[0].rows))
    filled = [place for place in range(len(SIZE_NAMES)) if (groups == place).any()]
    series = []
    for member in members:
        images = member.entry.images.take(member.rows)
        points: list[Point | None] = []
        for place in filled:
            rows = np.flatnonzero(groups == place)
            part = images.take(rows)
            points.append(_part(part, images.num_pixels.sum(), resamples))
        series.append(_series(member, points))
    return Breakdown(
        'By size of the object',
        'share of the pixels that are foreground, per image',
        tuple(SIZE_NAMES[place] for place in filled),
        tuple(series),
        'Images are grouped by their mask; intervals are over the images of a group.',
    )


def _size_groups(images: ImageTable) -> np.ndarray:
    """``(I,)`` place in ``SIZE_NAMES`` of every image; -1 without valid pixels."""
    sizes = np.asarray(images.foreground)
    pixels = np.maximum(images.num_pixels, 1)
    place = 1 + np.searchsorted(SIZE_EDGES, sizes / pixels)
    return np.where(images.num_pixels == 0, -1, np.where(sizes == 0, 0, place))


def _part(images: ImageTable, pixels: int, resamples: int) -> Point:
    table = images.table.pooled()
    drawn = resample(images, resamples)
    accuracy, confidence = float(drawn.values['acc']), float(drawn.values['conf'])
    return Point(
        _gap(drawn.values, drawn.drawn, len(images)),
        float(table.total / pixels),
        accuracy,
        confidence,
        len(images),
    )


def _whole(member: Measured) -> Point | None:
    drawn = member.resamples
    if not member.entry.images.num_pixels.sum():
        return None
    accuracy, confidence = float(drawn.values['acc']), float(drawn.values['conf'])
    gap = _gap(drawn.values, drawn.drawn, drawn.num_images)
    return Point(gap, 1.0, accuracy, confidence, drawn.num_images)


def _gap(
    values: dict[str, np.ndarray], drawn: dict[str, np.ndarray], images: int
) -> Estimate:
    value = float(values['conf'] - values['acc'])
    if images < 2:
        return Estimate(value)
    low, high = np.quantile(drawn['conf'] - drawn['acc'], [0.025, 0.975])
    return Estimate(value, float(low), float(high))


def _accuracy_bounds(member: Measured) -> tuple[np.ndarray, np.ndarray]:
    """``(B,)`` low and high accuracy of every bin."""
    bins = member.entry.result.get('bins', {})
    if 'low' not in bins:
        low, high = member.resamples.interval('bins')
        return low, high
    low, high = (np.array([number(v) for v in bins[key]]) for key in ('low', 'high'))
    return low, high


def _points(
    table: BinTable, low: np.ndarray, high: np.ndarray, of_accuracy: bool = False
) -> list[Point | None]:
    """Points of the groups of a table; the bounds are those of gap or accuracy."""
    conf, accuracy, gap = table.mean_conf, table.accuracy, signed_gap(table)
    if of_accuracy:
        low, high = conf - high, conf - low
    return [
        Point(Estimate(*values[:3]), *values[3:]) if values[0] == values[0] else None
        for values in np.stack(
            [gap, low, high, table.weight, accuracy, conf], axis=-1
        ).tolist()
    ]


def _series(member: Measured, points: Sequence[Point | None]) -> Series:
    return Series(member.entry.model, member.index, tuple(points))
