"""Checks of arguments: every public component makes them when it is built.

A value of another type is refused, also where Python would take it. True and nan are
not numbers. ``'no'`` is not a bool: Python takes a text that is not empty for true.
"""

import math
import os
from collections.abc import Callable, Collection
from numbers import Integral, Real
from operator import ge, gt, le, lt
from typing import Any, TypeVar

import numpy as np

T = TypeVar('T')

_LIMITS = dict(above=gt, at_least=ge, at_most=le, below=lt)
# The longest piece of a value that a message shows.
_MAX_SHOWN = 100


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
        one_of = ', '.join(map(str, choices))
        raise _refusal(name, f'one of {one_of}', value)
    return value


def check_path(name: str, value: Any) -> str:
    """Refuse an argument that is not the path of a file or folder."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    return check_text(name, value)


def check_text(name: str, value: Any) -> str:
    """Refuse an argument that is not a text of at least one character."""
    if not isinstance(value, str) or not value:
        raise _refusal(name, 'a text that is not empty', value)
    return value


def optional(check: Callable[..., T], name: str, value: Any, **limits: Any) -> T | None:
    """Make a check of an argument that may also be None."""
    return None if value is None else check(name, value, **limits)


def _checked(
    name: str, value: Any, kind: type, wanted: str, limits: dict[str, float], hint: str
) -> Any:
    fits = isinstance(value, kind) and not isinstance(value, bool) and _is_finite(value)
    if not fits or not all(_LIMITS[key](value, limit) for key, limit in limits.items()):
        raise _refusal(name, f'{wanted}{_range(limits)}', value, hint)
    return value


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # 10**400
        return False


def _range(limits: dict[str, float]) -> str:
    """Say a range, such as ', above 0 and at most 1', or ''."""
    texts = [f'{key.replace("_", " ")} {limit:g}' for key, limit in limits.items()]
    return f', {" and ".join(texts)}' if texts else ''


def _refusal(name: str, wanted: str, value: Any, hint: str = '') -> ValueError:
    text = repr(value)
    if len(text) > _MAX_SHOWN:
        text = f'{text[:_MAX_SHOWN]}...'
    quoted = isinstance(value, str) and not wanted.startswith(('one of', 'a text'))
    text += ' (a text: write it without quotes)' if quoted else ''
    return ValueError(f'{name} must be {wanted}, got {text}{hint}')
