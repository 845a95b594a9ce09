import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmaslp.report.analysis import analyse
from mmaslp.report.tables import comparison, differences, measures

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
    result = analysis.members[0].entry.result
    low, high = result['intervals']['ece']
    (first, _) = column(table, 'ece')
    assert first.value == f'{result["ece"]:.4f}'
    assert first.interval == f'[{low:.4f}, {high:.4f}]'
    assert all(cell.interval for row in table.rows for cell in row.cells)


def test_best_is_marked_in_its_direction(analysis):
    for key, best in (('oe', min), ('acc', max)):
        cells = column(comparison(analysis), key)
        values = [float(cell.sort) for cell in cells]
        assert cells[values.index(best(values))].mark in ('best', 'tied')
        assert 'best' in [cell.mark for cell in cells]
    assert {cell.mark for cell in column(comparison(analysis), 'conf')} == {''}
    alone = analyse(helper.report(helper.entry()), 5)
    assert {c.mark for row in comparison(alone).rows for c in row.cells} == {''}


def test_what_the_images_do_not_tell_apart_is_tied():
    entries = [helper.entry('A', gain=1.0), helper.entry('B', gain=1.0)]
    marks = [
        cell.mark
        for cell in column(comparison(analyse(helper.report(*entries), 20)), 'ece')
    ]
    assert marks == ['best', 'tied']


def test_differences_against_every_baseline(analysis):
    first, second = differences(analysis, 'B')
    assert (first.baseline, second.baseline) == ('B', 'A')
    (cell,) = column(second, 'oe')  # B is over-confident, A is not
    assert cell.value.startswith('+') and cell.mark == 'worse'
    assert column(first, 'oe')[0].mark == 'better'
    assert column(first, 'oe')[0].value == cell.value.replace('+', '-')
    assert '[+' in cell.interval
    assert not differences(analyse(helper.report(helper.entry()), 5))


def test_no_difference_has_no_sign_of_its_own():
    entries = [helper.entry('A'), helper.entry('B')]
    table, _ = differences(analyse(helper.report(*entries), 5))
    assert {cell.value for cell in table.rows[0].cells} == {'+0.0000'}


def test_measures_without_intervals(analysis):
    assert measures(analysis) is None
    one = replace(helper.entry(), measures={'mae': 0.25, 'mIoU %': 51.234, 's': None})
    table = measures(analyse(helper.report(one), 5))
    assert [cell.value for cell in table.rows[0].cells] == ['0.2500', '51.23', '-']
    assert [each.label for each in table.columns] == ['MAE', 'mIoU %', 'S']


def test_mean_row():
    sets = [helper.entry('A', 'x'), helper.entry('A', 'y', seed=1)]
    row = comparison(analyse(helper.report(*sets), 20)).rows[-1]
    assert row.kind == 'mean' and row.heads[0] == 'A' and row.cells[0].interval
