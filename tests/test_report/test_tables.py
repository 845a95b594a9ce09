import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmaslp.report.analysis import analyse
from mmaslp.report.tables import (
    comparison,
    differences,
)

# Not importable by name under pytest's importlib mode.
helper = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('sections.py')))


@pytest.fixture(scope='module')
def analysis():
    return analyse(helper.two_models(), 50)


def column(table, key):
    place = [each.key for each in table.columns].index(key)
    return [row.cells[place] for row in table.rows]


def test_every_cell_has_its_interval(analysis):
    table = comparison(analysis)
    assert [row.heads for row in table.rows] == [('A', 'test', '4'), ('B', 'test', '4')]
    result = analysis.members[0].result
    low, high = result['intervals']['ece']
    (first, _) = column(table, 'ece')
    assert first.value == f'{result["ece"]:.4f}'
    assert first.interval == f'[{low:.4f}, {high:.4f}]'
    assert all(cell.interval for row in table.rows for cell in row.cells)


def test_best_is_marked_in_its_direction(analysis):
    for key, best in (('oe', min), ('nll', min)):
        cells = column(comparison(analysis), key)
        values = [float(cell.sort) for cell in cells]
        marks = {cell.value: cell.mark for cell in cells if cell.mark}
        assert list(marks) == [f'{best(values):.4f}'] or set(marks.values()) == {'tied'}
    assert [cell.mark for cell in column(comparison(analysis), 'oe')] == ['best', '']
    assert {cell.mark for cell in column(comparison(analysis), 'conf')} == {''}
    alone = analyse([helper.result()], 5)
    assert {c.mark for row in comparison(alone).rows for c in row.cells} == {''}


def test_differences_against_every_baseline(analysis):
    first, second = differences(analysis, 'B')
    assert (first.baseline, second.baseline) == ('B', 'A')
    (cell,) = column(second, 'oe')  # B is over-confident, A is not
    assert cell.value.startswith('+') and cell.mark == 'worse'
    assert column(first, 'oe')[0].mark == 'better'
    assert column(first, 'oe')[0].value == cell.value.replace('+', '-')
    assert '[+' in cell.interval
    assert not differences(analyse([helper.result()], 5))
