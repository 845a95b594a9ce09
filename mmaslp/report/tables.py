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
    if signed:
        return f'{rounded:+.{digits}f}'
    return f'{rounded:.{digits}f}'


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
    if value is None or isnan(value):
        return Cell()
    text = number_text(value, digits, signed)
    lower = number_text(low, digits, signed)
    upper = number_text(high, digits, signed)

    interval = ''
    if lower != '-' and upper != '-':
        interval = f'[{lower}, {upper}]'
    return Cell(text, interval, mark, f'{value:.9g}')


def as_text(table: Table) -> str:
    """Lay a table out for a terminal: names to the left, numbers to the right.

    A * marks what is better or worse beyond chance.
    """
    lines = [list(table.heads) + [column.label for column in table.columns]]
    for row in table.rows:
        lines.append(list(row.names) + [_terminal_text(shown) for shown in row.cells])

    columns: list[list[str]] = []
    for number in range(len(lines[0])):
        texts = [line[number] for line in lines]
        columns.append(_aligned(texts, to_the_right=number >= len(table.heads)))
    return '\n'.join('  '.join(line).rstrip() for line in zip(*columns))


def _aligned(texts: Sequence[str], to_the_right: bool) -> list[str]:
    """Pad the texts of a column to the longest of them."""
    width = max(len(text) for text in texts)
    if to_the_right:
        return [text.rjust(width) for text in texts]
    return [text.ljust(width) for text in texts]


def _terminal_text(shown: Cell) -> str:
    if not shown.interval:
        return shown.text
    star = ' '
    if shown.mark:
        star = '*'
    return f'{shown.text} {shown.interval} {star}'


def format_table(
    rows: Mapping[str, Mapping[str, float]], keys: Sequence[str] = SHOWN
) -> str:
    """Lay out metrics by the name of their row, for a terminal."""
    lines = []
    for name, values in rows.items():
        cells = [cell(values.get(key), digits=_digits(key)) for key in keys]
        lines.append(Row((display_name(name),), cells))
    return as_text(
        Table(
            caption='',
            heads=('',),
            columns=[metric_of(key) for key in keys],
            rows=lines,
        )
    )


def model_table(
    sets: Sequence[Sequence[Measured]], keys: Sequence[str], caption: str
) -> Table:
    """All models, a row each; those of a set are measured on the same images."""
    rows = []
    for group in sets:
        for member in group:
            result = member.result
            names = (result.model, result.dataset, f'{len(member.images):,}')
            rows.append(Row(names, [estimate(result, key) for key in keys]))
    return Table(
        caption,
        heads=('model', 'set', 'images'),
        columns=[metric_of(key) for key in keys],
        rows=rows,
    )


def difference_table(comparison: Comparison, keys: Iterable[str] = ()) -> Table:
    """Lay out a comparison, a row for each of the metrics that it has."""
    first, second = comparison.titles
    rows = []
    for key in dict.fromkeys(keys or comparison.metrics):
        change = comparison.metrics.get(key)
        if change is not None:
            cells = [cell(change.first), cell(change.second), _change(key, change)]
            rows.append(Row((metric_of(key).label,), cells))

    heads = (first, second, 'difference, 95 % interval')
    return Table(
        caption=f'{second} minus {first} on {comparison.dataset}',
        heads=('',),
        columns=[Metric('', label=head) for head in heads],
        rows=rows,
    )


def estimate(result: Result, key: str) -> Cell:
    """A metric of a result and its interval, if there is one."""
    low, high = result.intervals.get(key, (nan, nan))
    return cell(result.value_of(key), low, high, digits=_digits(key))


def _change(key: str, change: Difference) -> Cell:
    mark = ''
    if metric_of(key).better and change.differs:
        mark = 'worse'
        if is_better(key, change):
            mark = 'better'
    return cell(change.difference, change.low, change.high, mark=mark, signed=True)


def _digits(key: str) -> int:
    if metric_of(key).unit == '%':
        return 2
    return 4
