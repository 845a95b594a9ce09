"""The tables of a page: comparison, differences, further measures."""

from __future__ import annotations

from math import isnan, nan
from typing import NamedTuple

from ..metrics.bootstrap import Difference
from ..metrics.catalogue import Metric, metric_of
from .analysis import Analysis, ImageSet
from .comparison import in_a_sentence
from .text_table import metric_text


class Cell(NamedTuple):
    """A figure as text; ``mark`` is 'best', 'tied', 'better', 'worse' or ''."""

    value: str
    interval: str = ''
    sort: str = ''
    mark: str = ''


class Row(NamedTuple):
    """A row: its names, and a cell per column; ``kind`` is 'mean' or ''."""

    heads: tuple[str, ...]
    cells: list[Cell]
    kind: str = ''


class Table(NamedTuple):
    """A table: headings of the names and of the figures, and the rows."""

    caption: str
    heads: tuple[str, ...]
    columns: list[Metric]
    rows: list[Row]


def comparison(analysis: Analysis) -> Table:
    """All models and sets, with intervals; the best of each set is marked."""
    rows = []
    for group in analysis.sets:
        marks = {key: _marks(group, key) for key in analysis.keys}
        for member in group.members:
            cells = [
                _cell(*member.estimate(key), mark=marks[key].get(member.model))
                for key in analysis.keys
            ]
            rows.append(
                Row((member.model, group.name, f'{len(member.images):,}'), cells)
            )

    for model, row in analysis.means.items():
        cells = [_cell(*row.get(key, ())) for key in analysis.keys]
        rows.append(Row((model, analysis.mean_name, ''), cells, 'mean'))

    return Table(
        'Calibration of every model on every set, with 95 % intervals over images',
        ('model', 'set', 'images'),
        [*map(metric_of, analysis.keys)],
        rows,
    )


def _marks(group: ImageSet, key: str) -> dict[str, str]:
    """Which model is best, or which ones the images do not tell apart from the best."""
    better = metric_of(key).better
    values = {member.model: member.estimate(key)[0] for member in group.members}
    values = {model: value for model, value in values.items() if not isnan(value)}
    if not better or len(values) < 2:
        return {}
    best = (min if better == 'lower' else max)(values, key=values.__getitem__)
    apart = {m: group.differences[m, best][key] for m in values if m != best}
    tied = [m for m, d in apart.items() if not isnan(d.low) and not d.differs]
    return dict.fromkeys([best, *tied], 'tied') if tied else {best: 'best'}


def differences(analysis: Analysis) -> Table | None:
    """Model minus its baseline, like with like, see :meth:`ImageSet.baseline`."""
    rows = []
    for group, member in analysis.members:
        base = group.baseline(member)
        if base is not None:
            found = group.differences[member.model, base.model]
            cells = [_change(found.get(key), key) for key in analysis.keys]
            rows.append(Row((member.model, base.model, group.name), cells))
    caption = 'Model minus baseline on the same images, with 95 % intervals'
    columns = [*map(metric_of, analysis.keys)]
    return Table(caption, ('model', 'minus', 'set'), columns, rows) if rows else None


def sentences(analysis: Analysis) -> list[str]:
    """Say of each row of the differences what differs beyond chance."""
    found = []
    for group, member in analysis.members:
        base = group.baseline(member)
        if base is not None:
            text = in_a_sentence(group.comparison(base, member))
            found.append(f'{group.name}: {text}' if len(analysis.sets) > 1 else text)
    return found


def measures(analysis: Analysis) -> Table | None:
    """Further measures, which were not kept per image and so have no intervals."""
    every = {
        (member.model, group.name): member.result.measures
        for group, member in analysis.members
    }
    keys = list(dict.fromkeys(key for own in every.values() for key in own))
    rows = [
        Row(heads, [_cell(own.get(key), digits=2 if '%' in key else 4) for key in keys])
        for heads, own in every.items()
    ]
    caption = 'Further measures, which have no intervals'

    return (
        Table(caption, ('model', 'set'), [*map(metric_of, keys)], rows)
        if keys
        else None
    )


def _cell(
    value: float | None = None,
    low: float = nan,
    high: float = nan,
    mark: str | None = '',
    signed: bool = False,
    digits: int = 4,
) -> Cell:
    if metric_text(value) == '-':
        return Cell('-')
    form = f'{"+" if signed else ""}.{digits}f'
    interval = '' if isnan(low + high) else f'[{low:{form}}, {high:{form}}]'
    rounded = round(value, digits) + 0.0  # what rounds to 0 has no sign of its own
    return Cell(f'{rounded:{form}}', interval, f'{value:.9g}', mark or '')


def _change(change: Difference | None, key: str) -> Cell:
    if change is None:
        return Cell('-')
    mark = ''
    better = metric_of(key).better
    if better and change.differs:
        mark = 'better' if (change.difference < 0) == (better == 'lower') else 'worse'
    return _cell(change.difference, change.low, change.high, mark, signed=True)
