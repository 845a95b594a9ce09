"""The diagrams of a page, as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from .errors import Breakdown, Point, Series
from .glossary import Term
from .svg import Frame, element, joined, line, mark, marker
from .tables import Cell, Row, Table

__all__ = ['Chart', 'gap_chart', 'reliability_chart', 'reliability_overlay']

WIDTH = 340
_SHARE = Term('share', 'share of pixels', '', '')
_COLUMNS = (
    _SHARE,
    Term('accuracy', 'accuracy', '', ''),
    Term('confidence', 'confidence', '', ''),
    Term('gap', 'gap', '', ''),
)


@dataclass(frozen=True)
class Chart:
    """A diagram.

    Args:
        title (str): Its heading.
        svg (Markup): The picture; its marks carry their values.
        note (str): What to know about it; may be empty.
        table (Table | None): The same figures. Defaults to None.
    """

    title: str
    svg: Markup
    note: str = ''
    table: Table | None = None


def reliability_chart(breakdown: Breakdown, series: Series) -> Chart:
    """The reliability diagram of one model: bars, gaps, intervals, shares.

    Args:
        breakdown (Breakdown): By confidence.
        series (Series): One of its series.
    """
    start = _start(breakdown.edges)
    frame = Frame(48, 8, WIDTH - 56, 200, (start, 1), (0, 1))
    lower = Frame(48, 222, WIDTH - 56, 44, (start, 1), (0, 1))
    parts = [frame.y_axis((0, 0.25, 0.5, 0.75, 1), '{:.2f}', _outcome(breakdown))]
    parts.append(lower.y_axis((0, 1), '{:.0%}', 'pixels'))
    parts.append(lower.x_axis(_ticks(start), breakdown.axis))
    marks = []
    for (left, right), name, point in zip(
        breakdown.edges, breakdown.groups, series.points
    ):
        if point is None:
            continue
        low, high = sorted((point.accuracy, point.confidence))
        inner = (left + 0.03 * (right - left), right - 0.03 * (right - left))
        kind = 'over' if point.gap.value > 0 else 'under'
        bars = [
            # The whole column reacts, also where a bar is too low to be hit.
            frame.bar(left, right, 0, 1, 'hit'),
            frame.bar(*inner, 0, low, 'bar'),
            frame.bar(*inner, low, high, kind),
            lower.bar(*inner, 0, point.share, 'bar'),
        ]
        if point.gap.has_interval:
            middle = (left + right) / 2
            bars.append(frame.whisker(middle, *_accuracy_bounds(point)))
        marks.append(mark(f'{name}: {_values(point)}', *bars))
    parts += [joined(marks), _diagonal(frame)]
    return Chart(series.name, _svg(parts, 300, f'Reliability diagram, {series.name}'))


def reliability_overlay(breakdown: Breakdown) -> Chart:
    """Accuracy against confidence of all models in one diagram.

    Args:
        breakdown (Breakdown): By confidence.
    """
    start = _start(breakdown.edges)
    frame = Frame(48, 8, WIDTH - 56, 258, (start, 1), (0, 1))
    parts = [
        frame.y_axis((0, 0.25, 0.5, 0.75, 1), '{:.2f}', _outcome(breakdown)),
        frame.x_axis(_ticks(start), f'mean {breakdown.axis} of the bin'),
        _diagonal(frame),
    ]
    for series in breakdown.series:
        points = [
            (name, point)
            for name, point in zip(breakdown.groups, series.points)
            if point is not None
        ]
        places = [(frame.px(p.confidence), frame.py(p.accuracy)) for _, p in points]
        parts.append(line(series.index, places))
        for (name, point), place in zip(points, places):
            text = f'{series.name}, {name}: {_values(point)}'
            parts.append(mark(text, marker(series.index, *place)))
    return Chart('All models', _svg(parts, 300, 'Reliability of all models'))


def gap_chart(breakdown: Breakdown) -> Chart:
    """Confidence minus accuracy of every group and model.

    Args:
        breakdown (Breakdown): Any division of the pixels.
    """
    places = len(breakdown.groups)
    limit, ticks = _gap_range(breakdown)
    frame = Frame(56, 8, WIDTH - 64, 190, (-0.5, max(places, 1) - 0.5), limit)
    digits = '{:+.2f}' if ticks[-1] - ticks[0] >= 0.05 else '{:+.3f}'
    parts = [
        frame.bar(-0.5, places - 0.5, 0, limit[1], 'overzone'),
        frame.bar(-0.5, places - 0.5, limit[0], 0, 'underzone'),
        frame.y_axis(ticks, digits, 'confidence − accuracy'),
        frame.x_axis([], breakdown.axis),
        *_names(frame, breakdown.groups),
        element(
            'line',
            x1=frame.px(-0.5),
            x2=frame.px(places - 0.5),
            y1=frame.py(0),
            y2=frame.py(0),
            class_='zero',
        ),
    ]
    step = min(9.0, frame.width / max(places, 1) * 0.7 / max(len(breakdown.series), 1))
    for number, series in enumerate(breakdown.series):
        shift = (number - (len(breakdown.series) - 1) / 2) * step
        marks, track = [], []
        for place, point in enumerate(series.points):
            if point is None:
                continue
            across, down = frame.px(place) + shift, frame.py(point.gap.value)
            shapes = [marker(series.index, across, down)]
            if point.gap.has_interval:
                bounds = (point.gap.low, point.gap.high)
                shapes.insert(0, frame.whisker(place, *bounds, shift=shift))
            text = f'{series.name}, {breakdown.groups[place]}: {_values(point)}'
            marks.append(mark(text, *shapes))
            track.append((across, down))
        parts += [line(series.index, track), *marks]
    return Chart(
        breakdown.title,
        _svg(parts, 246, f'{breakdown.title}: confidence minus accuracy'),
        breakdown.note,
        _table(breakdown),
    )


def _svg(parts: Sequence[Markup], height: int, label: str) -> Markup:
    return element(
        'svg',
        *parts,
        viewBox=f'0 0 {WIDTH} {height}',
        class_='chart',
        role='group',
        tabindex=0,
        aria_label=f'{label}. Arrow keys go through the values.',
    )


def _table(breakdown: Breakdown) -> Table:
    images = any(p and p.images is not None for s in breakdown.series for p in s.points)
    columns = (*_COLUMNS, *([Term('images', 'images', '', '')] if images else []))
    rows = []
    for series in breakdown.series:
        for name, point in zip(breakdown.groups, series.points):
            if point is not None:
                rows.append(
                    Row((series.name, name), _cells(point, images), index=series.index)
                )
    return Table(
        f'{breakdown.title}, values', ('model', breakdown.axis), columns, tuple(rows)
    )


def _cells(point: Point, images: bool) -> tuple[Cell, ...]:
    gap = point.gap
    span = f'[{gap.low:+.4f}, {gap.high:+.4f}]' if gap.has_interval else ''
    cells = [
        Cell(f'{point.share:.2%}', sort=f'{point.share:.9g}'),
        Cell(f'{point.accuracy:.4f}', sort=f'{point.accuracy:.9g}'),
        Cell(f'{point.confidence:.4f}', sort=f'{point.confidence:.9g}'),
        Cell(f'{gap.value:+.4f}', span, f'{gap.value:.9g}'),
    ]
    if images:
        cells.append(Cell(f'{point.images:,}', sort=f'{point.images}'))
    return tuple(cells)


def _values(point: Point) -> str:
    gap = point.gap
    text = f'confidence {point.confidence:.4f}, accuracy {point.accuracy:.4f}, '
    text += f'gap {gap.value:+.4f}'
    if gap.has_interval:
        text += f' [{gap.low:+.4f}, {gap.high:+.4f}]'
    text += f', {point.share:.2%} of the pixels'
    return text if point.images is None else f'{text}, {point.images:,} images'


def _accuracy_bounds(point: Point) -> tuple[float, float]:
    return point.confidence - point.gap.high, point.confidence - point.gap.low


def _outcome(breakdown: Breakdown) -> str:
    return 'accuracy' if breakdown.axis == 'confidence' else 'share of foreground'


def _start(edges: Sequence[tuple[float, float]]) -> float:
    """Where the axis of confidences begins: that of two classes at a half."""
    first = edges[0][0] if edges else 0.5
    return 0.5 if first >= 0.5 else first if first >= 0.4 else 0.0


def _ticks(start: float) -> list[tuple[float, str]]:
    step = 0.1 if start >= 0.4 else 0.2
    first = math.ceil(start / step - 1e-9)
    return [(k * step, f'{k * step:.1f}') for k in range(first, round(1 / step) + 1)]


def _diagonal(frame: Frame) -> Markup:
    low = frame.x[0]
    return element(
        'line',
        x1=frame.px(low),
        y1=frame.py(low),
        x2=frame.px(1),
        y2=frame.py(1),
        class_='ideal',
    )


def _names(frame: Frame, groups: Sequence[str]) -> list[Markup]:
    """Names of groups below the frame; every second one if they would overlap."""
    room = frame.width / max(len(groups), 1)
    every = math.ceil(max(map(len, groups), default=1) * 5.4 / max(room, 1))
    limit = max(int(room * every / 5.4), 3)
    return [
        element(
            'text',
            name if len(name) <= limit else f'{name[: limit - 1]}…',
            x=frame.px(place),
            y=frame.top + frame.height + 14,
            class_='middle small',
        )
        for place, name in enumerate(groups)
        if place % every == 0
    ]


def _gap_range(breakdown: Breakdown) -> tuple[tuple[float, float], list[float]]:
    """Range of the gaps and about five round values in it, 0 among them."""
    values = [0.0]
    for series in breakdown.series:
        for point in filter(None, series.points):
            bounds = (point.gap.value, point.gap.low, point.gap.high)
            values += [value for value in bounds if value == value]
    span = max(max(values) - min(values), 0.01)
    power = 10 ** math.floor(math.log10(span / 4))
    step = next(n * power for n in (1, 2, 2.5, 5, 10) if span / (n * power) <= 4.5)
    low = math.floor(min(values) / step - 0.2)
    high = math.ceil(max(values) / step + 0.2)
    ticks = [round(step * k, 10) for k in range(low, high + 1)]
    return (ticks[0], ticks[-1]), ticks
