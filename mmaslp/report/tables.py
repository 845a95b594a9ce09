"""Tables of models and of differences, for terminals and pages: one layout."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan

from ..evaluation.comparison import Comparison, Measured
from ..evaluation.result import Result
from ..evaluation.verdict import is_better
from ..files.names import display_name
from ..metrics.bootstrap import Difference
from ..metrics.catalogue import SHOWN, Metric, metric_of


@dataclass(frozen=True)
class Cell:
    """A number as text.

    Attributes:
        text (str): The number; '-' where it is undefined.
        interval (str): Its 95 % interval in brackets, or ''.
        mark (str): 'better', 'worse' or ''.
        sort (str): What a page sorts by.
    """

    text: str = '-'
    interval: str = ''
    mark: str = ''
    sort: str = ''


@dataclass(frozen=True)
class Row:
    """A row: its names, and a cell per column."""

    names: tuple[str, ...]
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Table:
    """A table: headings of the names, columns of numbers, rows.

    A column that is no metric has a ``label`` alone.
    """

    caption: str
    heads: tuple[str, ...]
    columns: Sequence[Metric]
    rows: Sequence[Row]


def number_text(value: float | None, digits: int = 4, signed: bool = False) -> str:
    """Format a number; '-' where it is undefined."""
    if value is None or isnan(value):
        return '-'
    rounded = round(value, digits) + 0.0  # what rounds to 0 has no sign of its own
    return f'{rounded:+.{digits}f}' if signed else f'{rounded:.{digits}f}'


def cell(
    value: float | None,
    low: float = nan,
    high: float = nan,
    *,
    mark: str = '',
    signed: bool = False,
    digits: int = 4,
) -> Cell:
    """Format a number and its interval; an interval of nan is left out."""
    text = number_text(value, digits, signed)
    if value is None or text == '-':
        return Cell()
    ends = [number_text(end, digits, signed) for end in (low, high)]
    interval = '' if '-' in ends else f'[{ends[0]}, {ends[1]}]'
    return Cell(text, interval, mark, f'{value:.9g}')


def as_text(table: Table) -> str:
    """Lay a table out for a terminal: names to the left, numbers to the right.

    A * marks what is better or worse beyond chance.
    """
    lines = [
        [*table.heads, *(column.label for column in table.columns)],
        *([*row.names, *map(_as_text, row.cells)] for row in table.rows),
    ]
    aligns = [*'<' * len(table.heads), *'>' * len(table.columns)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    aligned = (
        [f'{text:{align}{width}}' for text, align, width in zip(line, aligns, widths)]
        for line in lines
    )
    return '\n'.join('  '.join(line).rstrip() for line in aligned)


def _as_text(each: Cell) -> str:
    if not each.interval:
        return each.text
    return f'{each.text} {each.interval} {"*" if each.mark else " "}'


def format_table(
    rows: Mapping[str, Mapping[str, float]], keys: Sequence[str] = SHOWN
) -> str:
    """Lay out metrics by the name of their row, for a terminal."""
    return as_text(
        Table(
            caption='',
            heads=('',),
            columns=[metric_of(key) for key in keys],
            rows=[
                Row(
                    (display_name(name),),
                    [cell(values.get(key), digits=_digits(key)) for key in keys],
                )
                for name, values in rows.items()
            ],
        )
    )


def model_table(
    sets: Sequence[Sequence[Measured]], keys: Sequence[str], caption: str
) -> Table:
    """All models, a row each; those of a set are measured on the same images."""
    rows = [
        Row(
            (member.result.model, member.result.dataset, f'{len(member.images):,}'),
            [estimate(member.result, key) for key in keys],
        )
        for group in sets
        for member in group
    ]
    return Table(
        caption, ('model', 'set', 'images'), [metric_of(key) for key in keys], rows
    )


def difference_table(comparison: Comparison, keys: Iterable[str] = ()) -> Table:
    """Lay out a comparison, a row for each of the metrics that it has."""
    first, second = comparison.titles
    changes = {
        key: comparison.metrics[key]
        for key in keys or comparison.metrics
        if key in comparison.metrics
    }
    rows = [
        Row(
            (metric_of(key).label,),
            [cell(change.first), cell(change.second), _change(key, change)],
        )
        for key, change in changes.items()
    ]

    return Table(
        caption=f'{second} minus {first} on {comparison.dataset}',
        heads=('',),
        columns=[
            Metric('', label=head)
            for head in (first, second, 'difference, 95 % interval')
        ],
        rows=rows,
    )


def estimate(result: Result, key: str) -> Cell:
    """A metric of a result and its interval, if there is one."""
    value = {**result.measures, **result.metrics}.get(key)
    return cell(value, *result.intervals.get(key, ()), digits=_digits(key))


def _change(key: str, change: Difference) -> Cell:
    mark = ''
    if metric_of(key).better and change.differs:
        mark = 'better' if is_better(key, change) else 'worse'
    return cell(change.difference, change.low, change.high, mark=mark, signed=True)


def _digits(key: str) -> int:
    if metric_of(key).unit == '%':
        return 2
    return 4
