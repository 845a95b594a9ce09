"""The tables of a page and of a terminal."""

from dataclasses import replace

import pytest

from mmaslp.evaluation.comparison import Measured, compare
from mmaslp.evaluation.map_folders import SOD_COLUMNS
from mmaslp.metrics.catalogue import SHOWN, metric_of
from mmaslp.report.tables import (
    ImageSet,
    difference_table,
    format_table,
    mean_of,
    model_table,
)

from . import sections as helper

KEYS = ('oe', 'nll', 'conf')


@pytest.fixture(scope='module')
def two():
    return [Measured(each, 50) for each in helper.two_models()]


def column(table, key):
    place = [each.key for each in table.columns].index(key)
    return [row.cells[place] for row in table.rows]


def test_a_cell_is_a_metric_of_the_result_with_its_interval(two):
    table = model_table([ImageSet('test', two)], SHOWN, '')
    assert [row.names for row in table.rows] == [
        ('A', 'test', '4'),
        ('B', 'test', '4'),
    ]
    result = two[0].result
    for key in SHOWN:
        low, high = result.intervals[key]
        assert column(table, key)[0].text == f'{result.metrics[key]:.4f}'
        assert column(table, key)[0].interval == f'[{low:.4f}, {high:.4f}]'


def test_best_is_marked_in_its_direction(two):
    table = model_table([ImageSet('test', two)], KEYS, '')
    cells = column(table, 'oe')
    assert float(cells[0].sort) < float(cells[1].sort)
    assert [cell.mark for cell in cells] == ['best', '']
    assert [cell.mark for cell in column(table, 'nll')] == ['tied'] * 2
    assert {cell.mark for cell in column(table, 'conf')} == {''}
    alone = model_table([ImageSet('test', two[:1])], KEYS, '')
    assert {cell.mark for row in alone.rows for cell in row.cells} == {''}
    # What has no interval is not called the best.
    rows = [
        Measured(replace(each.result, measures={'mIoU %': value}))
        for each, value in zip(two, (1.0, 2.0))
    ]
    cells = column(model_table([ImageSet('test', rows)], ('mIoU %',), ''), 'mIoU %')
    assert [(cell.text, cell.mark) for cell in cells] == [('1.00', ''), ('2.00', '')]


def test_a_difference_has_a_row_for_each_metric(two):
    found = compare(two[:1], two[1:])
    table = difference_table(found)
    assert [each.label for each in table.columns[:2]] == ['A', 'B']
    rows = {row.names[0]: row.cells for row in table.rows}
    cell = rows['over-confidence error'][2]  # B is over-confident
    change = found.metrics['oe']
    assert cell.text == f'{change.difference:+.4f}'
    assert cell.interval == f'[{change.low:+.4f}, {change.high:+.4f}]'
    assert cell.mark == 'worse'
    other = difference_table(compare(two[1:], two[:1]), ['oe'])
    assert [row.cells[2].mark for row in other.rows] == ['better']
    assert rows['confidence'][2].mark == ''


def test_means_leave_out_sets_without_objects():
    results = [helper.result('A', name, seed=k) for k, name in enumerate('xyz')]
    results[2] = replace(results[2], no_foreground=True)
    sets = [ImageSet(each.dataset, [Measured(each)]) for each in results]
    *_, mean = model_table(sets, ('ece',), '').rows
    assert mean.is_mean
    assert mean.names == ('A', 'mean of sets', '')
    expected = sum(each.metrics['ece'] for each in results[:2]) / 2
    assert mean.cells[0].text == f'{expected:.4f}'
    assert not any(row.is_mean for row in model_table(sets[1:], ('ece',), '').rows)


def test_every_column_of_a_table_is_explained():
    for key in [*SHOWN, *SOD_COLUMNS, 'mIoU %', 'aAcc %', 'mAcc %']:
        found = metric_of(key)
        assert found.text.endswith('.')
        assert 'docs/' not in found.text
        assert bool(found.arrow) == (key != 'conf')
    assert (metric_of('new').label, metric_of('new').arrow) == ('new', '')


def test_text_table_and_a_mean():
    rows = {'a': {'ece': 0.1, 'nll': float('nan')}, 'b': {'ece': 0.3}}
    rows['mean'] = mean_of([*rows.values()])
    lines = format_table(rows, ['ece', 'nll']).splitlines()
    assert [line.split() for line in lines] == [
        ['ECE', 'NLL'],
        ['a', '0.1000', '-'],
        ['b', '0.3000', '-'],
        ['mean', '0.2000', '-'],
    ]
    assert mean_of([{'ece': 1.0}]) == {}
