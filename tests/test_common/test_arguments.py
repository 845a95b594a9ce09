"""The checks of arguments."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmaslp.common.arguments import (
    check_array,
    check_bool,
    check_choice,
    check_integer,
    check_number,
    check_path,
    check_text,
    optional,
)


@pytest.mark.parametrize(
    ('limits', 'right', 'wrong', 'words'),
    [
        (
            {},
            [0, -1.5, np.float32(2), torch.tensor(2.0), np.array(3)],
            [True, None, '1', 1j, torch.tensor(True), np.array('1'), torch.ones(1)],
            'a number, got',
        ),
        (dict(above=0), [1e-9], [0, -1], 'a number, above 0, got'),
        (dict(at_least=0), [0, 1], [-1e-9], 'a number, at least 0, got'),
        (dict(below=1), [0.9], [1], 'a number, below 1, got'),
        (dict(at_most=1), [1], [1.1], 'a number, at most 1, got'),
        (
            dict(above=0, at_most=2),
            [2],
            [0, 2.1],
            'a number, above 0 and at most 2, got',
        ),
        (
            dict(at_least=0, below=1),
            [0],
            [-1, 1],
            'a number, at least 0 and below 1, got',
        ),
    ],
)
def test_numbers(limits, right, wrong, words):
    for value in right:
        assert check_number('x', value, **limits) == value
    for value in (*wrong, float('nan'), float('inf'), 10**400):
        with pytest.raises(ValueError, match=f'^x must be {words} '):
            check_number('x', value, **limits)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ([[1, 2]], r'x must be numbers of shape \(2,\)'),
        (['1', 2], r'x must be numbers of shape \(2,\)'),
        ([0.5, 1.25], 'x must be numbers in their range, not 1.25'),
        ([None, 1], 'x must be numbers in their range, not nan'),
    ],
)
def test_arrays(values, message):
    assert check_array('x', [0.5, 1], (2,), low=0, high=1).tolist() == [0.5, 1]
    with pytest.raises(ValueError, match=f'^{message}$'):
        check_array('x', values, (2,), low=0, high=1)


def test_integers():
    for value in (2, np.int64(2), np.uint8(2), torch.tensor(2)):
        found = check_integer('n', value, at_least=2, at_most=2)
        assert found == 2
        assert type(found) is int
    for value in (2.0, True, '2', None, 1, 3, np.float64(2)):
        message = r'^n must be an integer, at least 2 and at most 2, got'
        with pytest.raises(ValueError, match=message):
            check_integer('n', value, at_least=2, at_most=2)


def test_bools():
    assert check_bool('b', True) is True
    assert check_bool('b', np.False_) is False
    for value in ('no', 'False', 0, 1, None, []):
        with pytest.raises(ValueError, match=r'^b must be True or False, got'):
            check_bool('b', value)


def test_choices_are_of_one_type():
    assert check_choice('c', 8, {8: 'a', 16: 'b'}) == 8
    for value in (8.0, '8', True, [8], None):
        with pytest.raises(ValueError, match=r'^c must be one of 8, 16, got'):
            check_choice('c', value, (8, 16))


def test_texts_and_paths():
    assert check_text('t', 'a') == 'a'
    assert check_path('p', Path('a/b')) == str(Path('a/b'))
    for check in (check_text, check_path):
        for value in ('', 3, None, b'a'):
            with pytest.raises(ValueError, match='must be a text that is not empty'):
                check('p', value)


def test_optional_arguments():
    assert optional(check_integer, 'n', None, at_least=1) is None
    with pytest.raises(ValueError, match='n must be'):
        optional(check_integer, 'n', 0, at_least=1)


def test_messages_are_short_and_say_what_to_do():
    with pytest.raises(ValueError, match='without quotes') as error:
        check_number('x', '5' * 999, hint=' and that is it')
    assert str(error.value).endswith('and that is it')
    assert len(str(error.value)) < 200
