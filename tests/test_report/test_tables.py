"""The tables of a page and of a terminal."""

from dataclasses import replace
from math import nan

import pytest

from mmaslp.evaluation.comparison import Measured, compare
from mmaslp.evaluation.sod import SOD_COLUMNS
from mmaslp.metrics.catalogue import SHOWN, Metric, metric_of
from mmaslp.report.tables import (
    Row,
    Table,
    as_text,
    cell,
    difference_table,
    format_table,
    model_table,
    number_text,
)

from . import sections as helper


@pytest.fixture(scope='module')
def two():
    return [Measured(each, 50) for each in helper.two_models()]


def column(table, key):
    place = [each.key for each in table.columns].index(key)
    return [row.cells[place] for row in table.rows]


def test_a_cell_is_a_metric_of_the_result_with_its_interval(two):
    table = model_table([two], SHOWN, '')
    assert [row.names for row in table.rows] == [
        ('A', 'test', '4'),
        ('B', 'test', '4'),
    ]
    result = two[0].result
    for key in SHOWN:
        low, high = result.intervals[key]
        assert column(table, key)[0].text == f'{result.metrics[key]:.4f}'
        assert column(table, key)[0].interval == f'[{low:.4f}, {high:.4f}]'


def test_other_libraries_measure_too(two):
    rows = [Measured(replace(two[0].result, measures={'mIoU %': 77.534}))]
    [cell] = column(model_table([rows], ('mIoU %',), ''), 'mIoU %')
    assert (cell.text, cell.interval) == ('77.53', '')


def test_a_difference_has_a_row_for_each_metric():
    two = [Measured(each, 50) for each in helper.two_models(number=12)]
    found = compare(*two)
    table = difference_table(found)
    assert [each.label for each in table.columns[:2]] == ['A', 'B']
    rows = {row.names[0]: row.cells for row in table.rows}
    cell = rows['over-confidence error'][2]  # B is over-confident
    change = found.metrics['oe']
    assert cell.text == f'{change.difference:+.4f}'
    assert cell.interval == f'[{change.low:+.4f}, {change.high:+.4f}]'
    assert cell.mark == 'worse'
    other = difference_table(compare(*two[::-1]), ['oe'])
    assert [row.cells[2].mark for row in other.rows] == ['better']
    assert rows['confidence'][2].mark == ''


def test_every_column_of_a_table_is_explained():
    for key in [*SHOWN, *SOD_COLUMNS, 'mIoU %', 'aAcc %', 'mAcc %']:
        found = metric_of(key)
        assert found.text.endswith('.')
        assert 'docs/' not in found.text
        assert bool(found.better) == (key != 'conf')
    assert (metric_of('new').label, metric_of('new').better) == ('new', '')


def test_text_table():
    rows = {'a\n': {'ece': 0.1, 'nll': float('nan')}, 'b': {'ece': 0.3}}
    lines = format_table(rows, ['ece', 'nll']).splitlines()
    assert [line.split() for line in lines] == [
        ['ECE', 'NLL'],
        ['a\\n', '0.1000', '-'],
        ['b', '0.3000', '-'],
    ]


@pytest.mark.parametrize(
    ('given', 'text', 'interval'),
    [
        ((0.12345, 0.1, 0.2), '0.1235', '[0.1000, 0.2000]'),
        ((0.5, nan, 0.2), '0.5000', ''),
        ((0.5,), '0.5000', ''),
        ((nan, 0.1, 0.2), '-', ''),
        ((None,), '-', ''),
    ],
)
def test_cells_never_show_nan(given, text, interval):
    found = cell(*given)
    assert (found.text, found.interval) == (text, interval)


def test_what_rounds_to_zero_has_no_sign_of_its_own():
    assert number_text(-1e-9) == '0.0000'
    assert number_text(-1e-9, signed=True) == '+0.0000'
    assert number_text(77.534, 2) == '77.53'


def test_layout_for_a_terminal():
    rows = [
        Row(('a long name',), [cell(0.1), cell(0.2, 0.1, 0.3, mark='worse')]),
        Row(('b',), [cell(10.0), cell(0.2, 0.1, 0.3)]),
    ]
    text = as_text(
        Table('', ('',), [Metric('', label='x'), Metric('', label='difference')], rows)
    )
    assert text.splitlines() == [
        '                   x                 difference',
        'a long name   0.1000  0.2000 [0.1000, 0.3000] *',
        'b            10.0000  0.2000 [0.1000, 0.3000]',
    ]
