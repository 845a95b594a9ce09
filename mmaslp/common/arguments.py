"""Checks of arguments: every public component makes them when it is built.

A value of another type is refused, also where Python would take it. True and nan are
not numbers; a tensor without axes is one. ``'no'`` is not a bool: Python takes a text
that is not empty for true.
"""

import logging
import os
import sys
from collections.abc import (
    Callable,
    Collection,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Set,
)
from contextlib import contextmanager
from numbers import Integral, Real
from operator import ge, gt, le, lt
from typing import Any, SupportsAbs, TypeVar

import numpy as np
from numpy.typing import ArrayLike

T = TypeVar('T')

_LIMITS = dict(above=gt, at_least=ge, at_most=le, below=lt)
# What is larger is not finite, such as 10**400.
_MOST = sys.float_info.max


def check_number(name: str, value: Any, *, hint: str = '', **limits: float) -> float:
    """Refuse an argument that is not a finite number within limits, see ``_LIMITS``."""
    return float(_checked(name, value, Real, 'a number', limits, hint))


def check_integer(name: str, value: Any, *, hint: str = '', **limits: float) -> int:
    """Refuse an argument that is not an integer within limits; 2.0 is none."""
    return int(_checked(name, value, Integral, 'an integer', limits, hint))


def check_bool(name: str, value: Any) -> bool:
    """Refuse an argument that is not True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise _refusal(name, 'True or False', value)
    return bool(value)


def check_choice(name: str, value: T, choices: Collection[T]) -> T:
    """Refuse an argument that is not one of the choices, of the same type."""
    # Compared one by one: the value may be a list, which has no hash.
    for choice in choices:
        if type(value) is type(choice) and value == choice:
            return value
    names = ', '.join(map(str, choices)) or 'none'
    raise _refusal(name, f'one of {names}', value)


def check_path(name: str, value: Any) -> str:
    """Refuse an argument that is not the path of a file or folder; expand its ~."""
    if hasattr(value, '__fspath__'):
        value = os.fspath(value)
    path = check_text(name, value)
    if '\0' in path:
        raise _refusal(name, 'a path, which has no NUL character', path)
    return os.path.expanduser(path)


def check_text(name: str, value: Any) -> str:
    """Refuse an argument that is not a text of at least one character."""
    if not isinstance(value, str) or not value:
        raise _refusal(name, 'a text that is not empty', value)
    return value


def check_members(name: str, values: Any, member_type: type[T]) -> list[T]:
    """Refuse an argument that is not some objects of a type, at least one."""
    members = list(values) if isinstance(values, Iterable) else []
    if not members or not all(isinstance(member, member_type) for member in members):
        wanted = f'a list of {member_type.__name__}, not an empty one'
        raise _refusal(name, wanted, values)
    return members


def numbers_of(groups: Iterable[Hashable]) -> Iterator[int]:
    """Number the groups of images in the order of their first appearance."""
    if isinstance(groups, (Mapping, Set, str)) or not isinstance(groups, Iterable):
        raise ValueError(
            'groups must be a list, in the order of the images, and not a '
            f'{type(groups).__name__}'
        )

    numbers: dict[Hashable, int] = {}
    with reading('groups must be a name for each image'):
        for group in groups:
            name = group_name(group)
            yield numbers.setdefault(name, len(numbers))


def group_name(group: Any) -> Hashable:
    """Refuse what cannot name the group of an image; a tensor gives its value.

    A tensor is equal to no other one as a key.
    """
    name = group.tolist() if hasattr(group, 'tolist') else group
    if name is None or name != name or not isinstance(name, Hashable):
        raise ValueError(f'one is {name}')
    return name


def check_object(name: str, value: Any) -> dict[str, Any]:
    """Refuse what a file holds if it is no object of JSON, with named fields."""
    if not isinstance(value, Mapping):
        raise _refusal(name, 'an object with named fields', value)
    return dict(value)


def given_logger(logger: Any = None) -> logging.Logger | logging.LoggerAdapter:
    """Take the logger 'mmaslp' in the place of None; refuse a tracker of a toolkit."""
    logger = logger or logging.getLogger('mmaslp')
    if not isinstance(logger, (logging.Logger, logging.LoggerAdapter)):
        raise _refusal('logger', 'a logging.Logger', logger)
    return logger


def check_array(
    name: str,
    values: Any,
    shape: tuple[int, ...],
    number: type = float,
    *,
    low: ArrayLike = -_MOST,
    high: ArrayLike = _MOST,
    nan: bool = False,
) -> np.ndarray:
    """Refuse what a file holds if it is not an array of numbers in their range.

    Args:
        name (str): What the message begins with.
        values (Any): Lists, an array or a tensor of the CPU; None stands for nan.
        shape (tuple): Of the array; -1 for one length that is not known.
        number (type): ``int`` for whole numbers. Defaults to float.
        low (ArrayLike): Least number, or numbers that broadcast with the array.
            Defaults to any that is finite.
        high (ArrayLike): The largest, likewise.
        nan (bool): Whether some may be nan. Defaults to False.
    """
    words = 'whole numbers' if number is int else 'numbers'
    try:
        array = _array_of(values, shape, number)
        usable = (array >= low) & (array <= high)
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(f'{name} must be {words} of shape {shape}') from error

    if nan:
        usable |= np.isnan(array)
    if not usable.all():
        refused = array[~usable][0]
        raise ValueError(f'{name} must be {words} in their range, not {refused}')
    return array.astype(np.int64 if number is int else float)


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Let all that is wrong with what a file holds be one ValueError."""
    try:
        yield
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        reason = str(error)
        if isinstance(error, KeyError):
            reason = f'it lacks {reason}'
        elif isinstance(error, (AttributeError, TypeError)):
            reason = f'a field of it is of another type ({reason})'
        raise ValueError(f'{what}: {reason}') from error


def optional(check: Callable[..., T], name: str, value: Any, **limits: Any) -> T | None:
    """Make a check of an argument that may also be None."""
    if value is None:
        return None
    return check(name, value, **limits)


def _array_of(values: Any, shape: tuple[int, ...], number: type) -> np.ndarray:
    """Make an array; ValueError if its numbers or its shape are others."""
    if isinstance(values, (list, tuple)):
        for value in np.array(values, object).flat:
            _check_item(value)
    array = np.asarray(values, None if number is int else float)
    shaped = array.reshape(shape)
    if number is int and array.size and array.dtype.kind not in 'iu':
        raise ValueError('numbers of another type')
    if array.size and array.shape != shaped.shape:
        raise ValueError('another shape')
    return shaped


def _check_item(value: Any) -> None:
    """Refuse what numpy would take for a number.

    It takes a text for the number in it, True for 1, and calculates with an integer of
    more than 64 bits as with an object.
    """
    if isinstance(value, (bool, str)):
        raise ValueError('not a number')
    if isinstance(value, int) and value.bit_length() > 63:
        raise ValueError('an integer that is too long')


def _checked(
    name: str,
    value: Any,
    number_type: type,
    wanted: str,
    limits: dict[str, float],
    hint: str,
) -> Any:
    if getattr(value, 'shape', None) == ():
        value = value.item()  # a tensor or an array of no axes is a number
    if not _is_finite(value, number_type) or not _is_within(value, limits):
        # Such as ', above 0 and at most 1'.
        texts = [f'{key.replace("_", " ")} {limit:g}' for key, limit in limits.items()]
        if texts:
            wanted = f'{wanted}, {" and ".join(texts)}'
        if isinstance(value, str):
            hint = f' (a text: write it without quotes){hint}'
        raise _refusal(name, wanted, value, hint)
    return value


def _is_finite(value: Any, number_type: type[SupportsAbs[float]]) -> bool:
    if not isinstance(value, number_type) or isinstance(value, bool):
        return False
    with np.errstate(over='ignore'):  # the limit is infinite in float32
        return abs(value) <= _MOST


def _is_within(value: Any, limits: dict[str, float]) -> bool:
    return all(_LIMITS[key](value, limit) for key, limit in limits.items())


def _refusal(name: str, wanted: str, value: Any, hint: str = '') -> ValueError:
    shown = repr(value)
    if len(shown) > 100:
        shown = f'{shown[:100]}...'
    return ValueError(f'{name} must be {wanted}, got {shown}{hint}')
