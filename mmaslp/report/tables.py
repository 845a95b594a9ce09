"""The tables of a page: comparison, differences, further measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .analysis import Analysis, Estimate, ImageSet, number
from .glossary import Term, term
from .text_table import metric_text

__all__ = ['Cell', 'Row', 'Table', 'comparison', 'differences', 'measures']


@dataclass(frozen=True)
class Cell:
    """A figure in a table.

    Args:
        value (str): As text, '-' if undefined.
        interval (str): As text, '' for none.
        sort (str): What the column is sorted by, '' if undefined.
        mark (str): 'best', 'tied' (with the best), 'better', 'worse' or ''.
    """

    value: str
    interval: str = ''
    sort: str = ''
    mark: str = ''


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Args:
        heads (tuple[str, ...]): Model, or model and set.
        cells (tuple[Cell, ...]): One per column.
        kind (str): 'mean' or ''.
        index (int): Number of the model, for its colour; -1 for none.
    """

    heads: tuple[str, ...]
    cells: tuple[Cell, ...]
    kind: str = ''
    index: int = -1


@dataclass(frozen=True)
class Table:
    """A table that can be sorted.

    Args:
        caption (str): What it holds.
        heads (tuple[str, ...]): Of the columns of names.
        columns (tuple[Term, ...]): Of the figures.
        rows (tuple[Row, ...]): The rows.
        baseline (str): The model that the rows are compared with, or ''.
    """

    caption: str
    heads: tuple[str, ...]
    columns: tuple[Term, ...]
    rows: tuple[Row, ...]
    baseline: str = ''


def comparison(analysis: Analysis) -> Table:
    """All models and sets, with intervals; the best of each set is marked."""
    rows = [
        Row(
            (member.entry.model, group.name, f'{len(member.entry.images):,}'),
            tuple(
                _cell(member.estimates.get(key), marks[key].get(member.entry.model, ''))
                for key in analysis.keys
            ),
            index=member.index,
        )
        for group in analysis.sets
        for marks in [{key: _marks(group, key) for key in analysis.keys}]
        for member in group.members
    ]
    rows += [
        Row(
            (model, 'mean of sets with objects', ''),
            tuple(_cell(row.get(key)) for key in analysis.keys),
            'mean',
            analysis.models.index(model),
        )
        for model, row in analysis.means.items()
    ]
    return Table(
        'Calibration of every model on every set, pooled over pixels, with 95 % '
        'bootstrap intervals over images',
        ('model', 'set', 'images'),
        tuple(map(term, analysis.keys)),
        tuple(rows),
    )


def _marks(group: ImageSet, key: str) -> dict[str, str]:
    """Which models are best, or not told apart from the best by the images."""
    better = term(key).better
    values = {
        m.entry.model: m.estimates[key].value
        for m in group.members
        if key in m.estimates and m.estimates[key].defined
    }
    if not better or len(values) < 2:
        return {}
    best = (min if better == 'lower' else max)(values, key=values.__getitem__)
    marks = {best: 'best'}
    for model in values:
        apart = group.differences.get((model, best), {}).get(key)
        if apart is not None and apart.has_interval and not apart.without_zero:
            marks[model] = 'tied'
    return marks


def differences(analysis: Analysis, first: str = '') -> list[Table]:
    """One table per baseline: model minus baseline on the same images.

    Args:
        analysis (Analysis): The figures.
        first (str): The baseline whose table comes first. Defaults to '': that of the
            first model.
    """
    order = sorted(analysis.models, key=lambda model: model != first)
    tables = []
    for baseline in order:
        rows = tuple(
            Row(
                (member.entry.model, group.name),
                tuple(
                    _change(found.get(key), term(key), member.estimates.get(key))
                    for key in analysis.keys
                ),
                index=member.index,
            )
            for group in analysis.sets
            for member in group.members
            for found in [group.differences.get((member.entry.model, baseline))]
            if found is not None
        )
        if rows:
            tables.append(
                Table(
                    f'Model minus {baseline} on the same images, with 95 % intervals '
                    'of the paired difference',
                    ('model', 'set'),
                    tuple(map(term, analysis.keys)),
                    rows,
                    baseline,
                )
            )
    return tables


def measures(analysis: Analysis) -> Table | None:
    """Further measures, which were not kept per image and so have no intervals."""
    keys = list(dict.fromkeys(k for m in analysis.members for k in m.entry.measures))
    if not keys:
        return None
    rows = tuple(
        Row(
            (member.entry.model, group.name),
            tuple(_measure(member.entry.measures.get(key), key) for key in keys),
            index=member.index,
        )
        for group in analysis.sets
        for member in group.members
    )
    return Table(
        'Further measures, without intervals: results do not hold them per image',
        ('model', 'set'),
        tuple(map(term, keys)),
        rows,
    )


def estimate_cells(estimates: Sequence[Estimate]) -> tuple[Cell, ...]:
    """Cells of estimates without marks."""
    return tuple(map(_cell, estimates))


def _cell(estimate: Estimate | None, mark: str = '') -> Cell:
    if estimate is None or not estimate.defined:
        return Cell('-')
    interval = ''
    if estimate.has_interval:
        interval = f'[{estimate.low:.4f}, {estimate.high:.4f}]'
    return Cell(metric_text(estimate.value), interval, f'{estimate.value:.9g}', mark)


def _change(change: Estimate | None, what: Term, own: Estimate | None) -> Cell:
    if change is None or own is None or not change.defined:
        return Cell('-')
    interval = f'[{change.low:+.4f}, {change.high:+.4f}]' if change.has_interval else ''
    mark = ''
    if what.better and change.without_zero:
        mark = 'better' if what.improves(0, change.value) else 'worse'
    text = f'{_no_minus_zero(change.value):+.4f}'
    return Cell(text, interval, f'{change.value:.9g}', mark)


def _no_minus_zero(value: float) -> float:
    """Round as shown; what rounds to 0 has no sign of its own."""
    return round(value, 4) + 0.0


def _measure(value: float | None, key: str) -> Cell:
    value = number(value)
    text = metric_text(value, 2 if '%' in key else 4)
    return Cell(text, sort='' if text == '-' else f'{value:.9g}')
