"""Tables of models and of differences, for terminals and pages."""

from collections.abc import Iterable, Mapping, Sequence

from ..common.table import Cell, Column, Row, Table, as_text, cell
from ..evaluation.comparison import Comparison, Measured
from ..evaluation.result import Result
from ..evaluation.verdict import is_better
from ..files.names import display_name
from ..metrics.bootstrap import Difference
from ..metrics.catalogue import SHOWN, metric_of


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
    columns = [column_of(key) for key in keys]
    return Table(caption, ('model', 'set', 'images'), columns, rows)


def difference_table(comparison: Comparison, keys: Iterable[str] = ()) -> Table:
    """Lay out a comparison, a row for each metric."""
    first, second = comparison.titles
    changes = {key: comparison.metrics[key] for key in keys or comparison.metrics}
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
        columns=[Column(first), Column(second), Column('difference, 95 % interval')],
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
    return 2 if '%' in key else 4
