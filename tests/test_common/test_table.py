from math import nan

import pytest

from mmaslp.common.table import Column, Row, Table, as_text, cell, number_text


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
    text = as_text(Table('', ('',), [Column('x'), Column('difference')], rows))
    assert text.splitlines() == [
        '                   x                 difference',
        'a long name   0.1000  0.2000 [0.1000, 0.3000] *',
        'b            10.0000  0.2000 [0.1000, 0.3000]',
    ]
