"""The tables of a page: comparison, differences, further measures, values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .analysis import Analysis, Estimate, ImageSet, number
from .breakdowns import Breakdown
from .glossary import Term, term
from .text_table import metric_text

__all__ = ['Table', 'all_metrics', 'comparison', 'differences', 'gap_table', 'measures']


@dataclass(frozen=True)
class Cell:
    """A figure as text; ``mark`` is 'best', 'tied', 'better', 'worse' or ''."""

    value: str
    interval: str = ''
    sort: str = ''
    mark: str = ''


@dataclass(frozen=True)
class Row:
    """A row: its names, and a cell per column; ``kind`` is 'mean' or ''."""

    heads: tuple[str, ...]
    cells: tuple[Cell, ...]
    kind: str = ''


@dataclass(frozen=True)
class Table:
    """A table: headings of the names and of the figures, and the rows."""

    caption: str
    heads: tuple[str, ...]
    columns: tuple[Term, ...]
    rows: tuple[Row, ...]
    baseline: str = ''


def comparison(analysis: Analysis) -> Table:
    """All models and sets, with intervals; the best of each set is marked."""
    rows = []
    for group in analysis.sets:
        marks = {key: _marks(group, key) for key in analysis.keys}
        for member in group.members:
            cells = [
                _cell(member.estimates.get(key), marks[key].get(member.model, ''))
                for key in analysis.keys
            ]
            heads = (member.model, group.name, f'{len(member.images):,}')
            rows.append(Row(heads, tuple(cells)))
    for model, row in analysis.means.items():
        cells = [_cell(row.get(key)) for key in analysis.keys]
        rows.append(Row((model, analysis.mean_name, ''), tuple(cells), 'mean'))
    return Table(
        'Calibration of every model on every set, with 95 % intervals over images',
        ('model', 'set', 'images'),
        tuple(map(term, analysis.keys)),
        tuple(rows),
    )


def _marks(group: ImageSet, key: str) -> dict[str, str]:
    """Which model is best, or which ones the images do not tell apart from the best."""
    better = term(key).better
    values = {
        m.model: m.estimates[key].value
        for m in group.members
        if key in m.estimates and m.estimates[key].value == m.estimates[key].value
    }
    if not better or len(values) < 2:
        return {}
    best = (min if better == 'lower' else max)(values, key=values.__getitem__)
    tied = [model for model in values if _tied(group, model, best, key)]
    return dict.fromkeys([best, *tied], 'tied') if tied else {best: 'best'}


def _tied(group: ImageSet, model: str, best: str, key: str) -> bool:
    apart = group.differences.get((model, best), {}).get(key)
    return apart is not None and apart.has_interval and not apart.without_zero


def differences(analysis: Analysis, first: str = '') -> list[Table]:
    """One table per baseline, that of ``first`` first: model minus baseline."""
    tables = []
    for baseline in sorted(analysis.models, key=lambda model: model != first):
        rows = []
        for group in analysis.sets:
            for member in group.members:
                found = group.differences.get((member.model, baseline))
                if found is not None:
                    cells = [_change(found.get(key), key) for key in analysis.keys]
                    rows.append(Row((member.model, group.name), tuple(cells)))
        if rows:
            tables.append(
                Table(
                    f'Model minus {baseline} on the same images, with 95 % intervals',
                    ('model', 'set'),
                    tuple(map(term, analysis.keys)),
                    tuple(rows),
                    baseline,
                )
            )
    return tables


def measures(analysis: Analysis) -> Table | None:
    """Further measures, which were not kept per image and so have no intervals."""
    every = [
        ((member.model, group.name), member.result.get('measures', {}))
        for group in analysis.sets
        for member in group.members
    ]
    keys = list(dict.fromkeys(key for _, own in every for key in own))
    rows = tuple(
        Row(heads, tuple(_plain(own.get(key), key) for key in keys))
        for heads, own in every
    )
    columns = tuple(map(term, keys))
    caption = 'Further measures, which have no intervals'
    return Table(caption, ('model', 'set'), columns, rows) if keys else None


def all_metrics(result: dict[str, Any], name: str) -> Table:
    """Every metric of one result."""
    intervals = result.get('intervals', {})
    rows = []
    for key, value in result.items():
        if value is None or type(value) in (int, float):
            bounds = map(number, intervals.get(key) or (None, None))
            cell = _cell(Estimate(number(value), *bounds))
            if isinstance(value, int):
                cell = Cell(f'{value:,}', sort=f'{value}')
            rows.append(Row((key,), (cell,)))
    return Table(name, ('metric',), (term('value'),), tuple(rows))


def gap_table(breakdown: Breakdown) -> Table:
    """The figures of a diagram of gaps."""
    rows = []
    for model, gaps in breakdown.series.items():
        for name, *values in zip(breakdown.groups, *vars(gaps).values()):
            gap, low, high, share, accuracy, confidence = values
            if gap == gap:
                cells = (
                    Cell(f'{share:.2%}'),
                    Cell(f'{accuracy:.4f}'),
                    Cell(f'{confidence:.4f}'),
                    _cell(Estimate(gap, low, high), signed=True),
                )
                rows.append(Row((model, name), cells))
    labels = ('share of pixels', 'accuracy', 'confidence', 'gap')
    return Table(
        breakdown.title,
        ('model', breakdown.axis),
        tuple(Term(label, label, '', '') for label in labels),
        tuple(rows),
    )


def _cell(estimate: Estimate | None, mark: str = '', signed: bool = False) -> Cell:
    if estimate is None or estimate.value != estimate.value:
        return Cell('-')
    sign, interval = '+' if signed else '', ''
    value = round(estimate.value, 4) + 0.0  # what rounds to 0 has no sign of its own
    if estimate.has_interval:
        interval = f'[{estimate.low:{sign}.4f}, {estimate.high:{sign}.4f}]'
    return Cell(f'{value:{sign}.4f}', interval, f'{estimate.value:.9g}', mark)


def _change(change: Estimate | None, key: str) -> Cell:
    mark, better = '', term(key).better
    if change is not None and better and change.without_zero:
        mark = 'better' if (change.value < 0) == (better == 'lower') else 'worse'
    return _cell(change, mark, signed=True)


def _plain(value: float | None, key: str) -> Cell:
    text = metric_text(value, 2 if '%' in key else 4)
    return Cell(text, sort='' if text == '-' else f'{value:.9g}')
