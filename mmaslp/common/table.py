"""Tables of metrics for people: one layout, which terminals and pages show."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan


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
class Column:
    """A heading, and what a page says of it.

    Attributes:
        label (str): The heading.
        key (str): Of the metric; '' of none.
        arrow (str): Which direction is better, as a sign.
        text (str): What the metric means.
    """

    label: str
    key: str = ''
    arrow: str = ''
    text: str = ''


@dataclass(frozen=True)
class Row:
    """A row: its names, and a cell per column."""

    names: tuple[str, ...]
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Table:
    """A table: headings of the names, columns of numbers, rows."""

    caption: str
    heads: tuple[str, ...]
    columns: Sequence[Column]
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
    columns = []
    for place, column in enumerate(zip(*lines)):
        align = str.ljust if place < len(table.heads) else str.rjust
        width = max(map(len, column))
        columns.append([align(text, width) for text in column])
    return '\n'.join('  '.join(line).rstrip() for line in zip(*columns))


def _as_text(each: Cell) -> str:
    if not each.interval:
        return each.text
    return f'{each.text} {each.interval} {"*" if each.mark else " "}'
