"""What a page computes: estimates and tables."""

from dataclasses import replace

import numpy as np
import pytest

from mmaslp.evaluation.map_folders import SOD_COLUMNS
from mmaslp.metrics.bootstrap import resample
from mmaslp.metrics.catalogue import SHOWN, metric_of
from mmaslp.report.analysis import analyse
from mmaslp.report.tables import comparison, differences, sentences
from mmaslp.report.text_table import format_table, with_mean

from . import sections as helper

result = helper.result


@pytest.fixture(scope='module')
def analysis():
    found = analyse(helper.two_models(), 50)
    return replace(found, keys=('oe', *found.keys))  # in which the models differ


def column(table, key):
    place = [each.key for each in table.columns].index(key)
    return [row.cells[place] for row in table.rows]


def test_a_cell_is_a_figure_of_the_result_with_its_interval(analysis):
    table = comparison(analysis)
    assert [row.heads for row in table.rows] == [('A', 'test', '4'), ('B', 'test', '4')]
    one = analysis.sets[0].members[0].result
    for key in analysis.keys:
        low, high = one.intervals[key]
        assert column(table, key)[0].value == f'{one.metrics[key]:.4f}'
        assert column(table, key)[0].interval == f'[{low:.4f}, {high:.4f}]'


def test_best_is_marked_in_its_direction(analysis):
    cells = column(comparison(analysis), 'oe')
    assert float(cells[0].sort) < float(cells[1].sort)
    assert [cell.mark for cell in column(comparison(analysis), 'nll')] == ['tied'] * 2
    assert [cell.mark for cell in column(comparison(analysis), 'oe')] == ['best', '']
    assert {cell.mark for cell in column(comparison(analysis), 'conf')} == {''}
    alone = analyse([result()], 5)
    assert {c.mark for row in comparison(alone).rows for c in row.cells} == {''}


def test_differences_are_paired(analysis):
    table = differences(analysis)
    assert [row.heads for row in table.rows] == [('B', 'A', 'test')]
    (cell,) = column(table, 'oe')  # B is over-confident
    one, two = (resample(each.images, 50) for each in helper.two_models())
    expected = one.differences(two)['oe']
    assert cell.value == f'{expected.difference:+.4f}'
    assert cell.mark == 'worse'
    assert cell.interval == f'[{expected.low:+.4f}, {expected.high:+.4f}]'
    [sentence] = sentences(analysis)
    assert sentence.startswith('B against A: ')
    other = analyse(helper.two_models()[::-1], 50)
    other = replace(other, keys=('oe', *other.keys))
    assert column(differences(other), 'oe')[0].mark == 'better'
    assert differences(analyse([result()], 5)) is None


def test_differences_are_like_with_like():
    raw = helper.two_models()
    calibrated = [
        replace(own, model=f'{own.model}, calibrated', settings=settings)
        for own in raw
        for settings in [{**own.settings, 'calibrator': 'c.json'}]
    ]
    found = analyse([raw[0], calibrated[0], raw[1], calibrated[1]], 50)
    pairs = [row.heads[:2] for row in differences(found).rows]
    assert pairs == [
        ('A, calibrated', 'A'),
        ('B', 'A'),
        ('B, calibrated', 'A, calibrated'),
    ]
    text = sentences(found)
    assert text[2].startswith('With a calibrator, B against A:')
    assert not text[0].startswith('With a calibrator')


def test_other_masks_under_the_same_names():
    one, two = result('A'), result('B')
    masks = two.images.masks + np.array([0, 0, 1, 0])
    two = replace(two, images=replace(two.images, masks=masks))
    with pytest.raises(ValueError, match=r"A and B on test: 1 images .*'<2>'"):
        analyse([one, two], 5)
    # Another set whose files happen to be named alike.
    two = replace(two, dataset='other')
    assert len(analyse([one, two], 5).sets) == 2


def test_means_leave_out_sets_without_objects():
    sets = [result('A', 'x'), result('A', 'y', seed=1), result('A', 'z', seed=2)]
    sets[2] = replace(sets[2], no_foreground=True)
    analysis = analyse(sets, 20)
    value, low, high = analysis.means['A']['ece']
    assert value == pytest.approx(np.mean([each.metrics['ece'] for each in sets[:2]]))
    assert low < value < high
    assert analysis.mean_name == 'mean of sets with objects'
    assert not analyse(sets[1:], 5).means


def test_every_column_of_a_table_is_explained():
    for key in [*SHOWN, *SOD_COLUMNS, 'mIoU %', 'aAcc %', 'mAcc %']:
        found = metric_of(key)
        assert found.text.endswith('.')
        assert 'docs/' not in found.text
        assert bool(found.arrow) == (key != 'conf')
    assert (metric_of('new').label, metric_of('new').arrow) == ('new', '')


def test_text_table_and_its_mean():
    rows = {'a': {'ece': 0.1, 'nll': float('nan')}, 'b': {'ece': 0.3, 'nll': None}}
    rows['ood'] = {'ece': 9.0}
    lines = format_table(with_mean(rows, apart=['ood']), ['ece', 'nll']).splitlines()
    assert [line.split() for line in lines] == [
        ['ECE', 'NLL'],
        ['a', '0.1000', '-'],
        ['b', '0.3000', '-'],
        ['mean', '0.2000', '-'],
        ['ood', '9.0000', '-'],
    ]
    assert with_mean({'a': {'ece': 1.0}}) == {'a': {'ece': 1.0}}
