"""Checks of arguments: every public component makes them when it is built.

A value of another type is refused, also where Python would take it. True and nan are
not numbers; a tensor without axes is one. ``'no'`` is not a bool: Python takes a text
that is not empty for true.
"""

import logging
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from operator import ge, gt, le, lt
from typing import Any, TypeVar

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
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise _refusal(name, f'one of {", ".join(map(str, choices)) or "none"}', value)
    return value


def check_path(name: str, value: Any) -> str:
    """Refuse an argument that is not the path of a file or folder; expand its ~."""
    return os.path.expanduser(
        check_text(name, os.fspath(value) if hasattr(value, '__fspath__') else value)
    )


def check_text(name: str, value: Any) -> str:
    """Refuse an argument that is not a text of at least one character."""
    if not isinstance(value, str) or not value:
        raise _refusal(name, 'a text that is not empty', value)
    return value


def check_members(name: str, values: Any, kind: type[T]) -> list[T]:
    """Refuse an argument that is not some objects of a kind, at least one."""
    members = list(values) if isinstance(values, Iterable) else []
    if not members or not all(isinstance(member, kind) for member in members):
        raise _refusal(name, f'a list of {kind.__name__}, not an empty one', values)
    return members


def given_logger(logger: Any = None) -> logging.Logger | logging.LoggerAdapter:
    """Take the logger 'mmaslp' in the place of None; refuse a tracker of a toolkit."""
    given = logger or logging.getLogger('mmaslp')
    if not isinstance(given, (logging.Logger, logging.LoggerAdapter)):
        raise _refusal('logger', 'a logging.Logger', given)
    return given


def check_array(
    name: str,
    values: Any,
    shape: tuple[int, ...],
    kind: type = float,
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
        kind (type): ``int`` for whole numbers. Defaults to float.
        low (ArrayLike): Least number, or numbers that broadcast with the array.
            Defaults to any that is finite.
        high (ArrayLike): The largest, likewise.
        nan (bool): Whether some may be nan. Defaults to False.
    """
    whole = kind is int
    try:
        given = np.asarray(values, None if whole else float)
        # numpy takes a text for the number in it, True for 1, and calculates with an
        # integer of more than 64 bits as with an object.
        odd = isinstance(values, (list, tuple)) and any(
            isinstance(value, (bool, str))
            or (isinstance(value, int) and value.bit_length() > 63)
            for value in np.array(values, object).flat
        )
        array = given.reshape(shape)
        in_range = ((array >= low) & (array <= high)) | (nan & np.isnan(array))
        typed = given.dtype.kind in ('iu' if whole else 'f') and in_range.all()
        broken = odd or (given.size > 0 and not (typed and given.shape == array.shape))
    except (OverflowError, TypeError, ValueError):
        broken = True

    if broken:
        numbers = 'whole numbers' if whole else 'numbers'
        raise ValueError(f'{name} must be {numbers} in their range, of shape {shape}')
    return array.astype(np.int64 if whole else float)


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
        lack = 'it lacks ' if isinstance(error, KeyError) else ''
        raise ValueError(f'{what}: {lack}{error}') from error


def optional(check: Callable[..., T], name: str, value: Any, **limits: Any) -> T | None:
    """Make a check of an argument that may also be None."""
    return None if value is None else check(name, value, **limits)


def _checked(
    name: str, value: Any, kind: type, wanted: str, limits: dict[str, float], hint: str
) -> Any:
    # A tensor or an array of no axes is a number.
    value = value.item() if getattr(value, 'shape', None) == () else value
    number = isinstance(value, kind) and not isinstance(value, bool)
    with np.errstate(over='ignore'):  # the limit is infinite in float32
        fits = number and abs(value) <= _MOST
    if not fits or not all(_LIMITS[key](value, limit) for key, limit in limits.items()):
        # Such as ', above 0 and at most 1'.
        texts = [f'{key.replace("_", " ")} {limit:g}' for key, limit in limits.items()]
        wanted += f', {" and ".join(texts)}' if texts else ''
        quoted = ' (a text: write it without quotes)' if isinstance(value, str) else ''
        raise _refusal(name, wanted, value, quoted + hint)
    return value


def _refusal(name: str, wanted: str, value: Any, hint: str = '') -> ValueError:
    shown = repr(value)
    shown = shown if len(shown) <= 100 else f'{shown[:100]}...'
    return ValueError(f'{name} must be {wanted}, got {shown}{hint}')
