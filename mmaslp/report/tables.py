"""Tables of models and of differences, for terminals and pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan

from ..common.table import Cell, Column, Row, Table, as_text, cell
from ..evaluation.comparison import Comparison, Measured
from ..evaluation.verdict import is_better
from ..files.names import display_name
from ..metrics.bootstrap import Difference
from ..metrics.catalogue import SHOWN, metric_of


@dataclass(frozen=True)
class ImageSet:
    """The models that were measured on the same images."""

    name: str
    members: Sequence[Measured]


def column_of(key: str) -> Column:
    """The column of a metric."""
    metric = metric_of(key)
    return Column(metric.label, key, metric.arrow, metric.text)


def format_table(
    rows: Mapping[str, Mapping[str, float]], keys: Sequence[str] = SHOWN
) -> str:
    """Lay out metrics by the name of their row, for a terminal."""
    table = Table(
        caption='',
        heads=('',),
        columns=[column_of(key) for key in keys],
        rows=[
            Row(
                (display_name(name),),
                [cell(values.get(key), digits=_digits(key)) for key in keys],
            )
            for name, values in rows.items()
        ],
    )
    return as_text(table)


def mean_of(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each metric over the rows where it is defined; none of a single row."""
    means = {}
    for key in dict.fromkeys(key for row in rows for key in row if len(rows) > 1):
        values = [row[key] for row in rows if not isnan(row.get(key, nan))]
        means[key] = sum(values) / len(values) if values else nan
    return means


def model_table(sets: Sequence[ImageSet], keys: Sequence[str], caption: str) -> Table:
    """All models and sets; the best of each set is marked.

    A mean leaves out sets without an object.
    """
    rows = []
    for group in sets:
        marks = {key: _marks(group.members, key) for key in keys}
        for place, member in enumerate(group.members):
            names = (member.result.model, group.name, f'{len(member.images):,}')
            cells = [_measured(member, key, marks[key].get(place, '')) for key in keys]
            rows.append(Row(names, cells))

    members = [member for group in sets for member in group.members]
    for model in dict.fromkeys(member.result.model for member in members):
        means = mean_of(
            [
                values_of(member)
                for member in members
                if member.result.model == model and not member.result.no_foreground
            ]
        )
        if means:
            cells = [cell(means.get(key), digits=_digits(key)) for key in keys]
            rows.append(Row((model, 'mean of sets', ''), cells, is_mean=True))

    columns = [column_of(key) for key in keys]
    return Table(caption, ('model', 'set', 'images'), columns, rows)


def difference_table(comparison: Comparison, keys: Iterable[str] = ()) -> Table:
    """Lay out a comparison, a row for each metric."""
    first, second = comparison.titles
    rows = []
    for key in keys or comparison.metrics:
        change = comparison.metrics[key]
        cells = [cell(change.first), cell(change.second), _change(key, change)]
        rows.append(Row((metric_of(key).label,), cells))
    return Table(
        caption=f'{second} minus {first} on {comparison.dataset}',
        heads=('',),
        columns=[Column(first), Column(second), Column('difference, 95 % interval')],
        rows=rows,
    )


def values_of(member: Measured) -> dict[str, float]:
    """All metrics of a result, those of other libraries too."""
    return {**member.result.measures, **member.result.metrics}


def estimate(member: Measured, key: str) -> Cell:
    """A metric of a result and its interval, if there is one."""
    return _measured(member, key, '')


def _measured(member: Measured, key: str, mark: str) -> Cell:
    value = values_of(member).get(key)
    return cell(value, *member.interval(key), mark=mark, digits=_digits(key))


def _marks(members: Sequence[Measured], key: str) -> dict[int, str]:
    """Which model is best, or which ones the images do not tell apart from the best."""
    better = metric_of(key).better
    values = [values_of(member).get(key, nan) for member in members]
    places = [place for place, value in enumerate(values) if not isnan(value)]
    if not better or len(places) < 2 or key not in members[0].drawn.values:
        return {}
    best = (min if better == 'lower' else max)(places, key=values.__getitem__)
    tied = []
    for place in places:
        change = members[best].drawn.differences(members[place].drawn).get(key)
        if place != best and change and not (isnan(change.low) or change.differs):
            tied.append(place)
    return dict.fromkeys([best, *tied], 'tied') if tied else {best: 'best'}


def _change(key: str, change: Difference) -> Cell:
    mark = ''
    if metric_of(key).better and change.differs:
        mark = 'better' if is_better(key, change) else 'worse'
    return cell(change.difference, change.low, change.high, mark=mark, signed=True)


def _digits(key: str) -> int:
    return 2 if '%' in key else 4
