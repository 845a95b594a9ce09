"""The JSON file of a calibrator."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..argument_checks import check_choice, check_path
from ..bands import BORDER_EDGES
from .cells import LIMIT
from .maps import MAPS, TARGETS, Knots

T = TypeVar('T')

MAX_BYTES = 2**20
MAX_KNOTS = 1024
# Largest calibrated logit of a knot; the least temperature gives 16500.
MAX_LEVEL = 2e4
BANDS = len(BORDER_EDGES) + 1
# What every file says, and what it may say of the maps.
_HEAD = dict(format='mmaslp calibrator', version=1, edges=list(BORDER_EDGES))
_BROKEN = (AttributeError, KeyError, RecursionError, TypeError, ValueError)
_CHOICES = dict(method=tuple(MAPS), by=('single', 'band'), target=TARGETS)


def write(arguments: dict[str, Any], file: str | Path) -> None:
    """Write a calibrator, under another name first: nobody reads half a file."""
    content = {**_HEAD, **arguments}
    for key in ('maps', 'mask_maps'):
        content[key] = [
            dict(knots=np.array(knots).tolist(), levels=np.array(levels).tolist())
            for knots, levels in content[key]
        ]
    text = json.dumps(content, indent=1, allow_nan=False) + '\n'
    file = Path(file).expanduser()
    part = Path(f'{file}.{os.getpid()}.part')
    try:
        if file.exists() and not file.is_file():
            file.write_text(text)  # /dev/null stays what it is
            return
        part.write_text(text)
        part.replace(file)
    except OSError as error:  # it would name the part, or nothing
        raise OSError(error.errno, error.strerror, str(file)) from error
    finally:
        part.unlink(missing_ok=True)


def read(file: str | Path, make: Callable[..., T]) -> T:
    """Make a calibrator of what a file holds; ValueError if it is none."""
    file = Path(check_path('file', file)).expanduser()
    try:
        if file.exists() and not file.is_file() and not file.is_dir():
            raise ValueError('it is not a file')  # a pipe never ends
        with file.open('rb') as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f'it has more than {MAX_BYTES:,} bytes')
        content = json.loads(data)
        for key, value in _HEAD.items():
            if content.pop(key) != value:
                raise ValueError(f'{key} must be {value!r}')
        for key in ('maps', 'mask_maps'):
            content[key] = [(each['knots'], each['levels']) for each in content[key]]
        return make(**content)
    except _BROKEN as error:
        what = f'it lacks {error}' if isinstance(error, KeyError) else error
        raise ValueError(
            f'{file} is not a calibrator: {what}; make one with mmaslp fit'
        ) from error


def checked_arguments(content: dict[str, Any]) -> dict[str, Any]:
    """Refuse arguments that make no calibrator; knots become arrays."""
    for key, choices in _CHOICES.items():
        check_choice(key, content[key], choices)
    bands = BANDS if content['by'] == 'band' else 1
    found = {}
    for key, numbers in (('maps', (bands,)), ('mask_maps', (0, BANDS))):
        try:
            found[key] = [_knots(*each) for each in content[key]]
        except (OverflowError, TypeError) as error:
            raise ValueError(f'{key} must be pairs of numbers ({error})') from error
        if len(found[key]) not in numbers:
            raise ValueError(f'it needs {numbers[-1]} {key}')
    if not isinstance(content['record'], dict):
        raise ValueError('it needs a record')
    return found


def _knots(given: Any, calibrated: Any) -> Knots:
    knots, levels = np.array(given, float), np.array(calibrated, float)
    fits = knots.ndim == 1 and knots.shape == levels.shape
    if not fits or not 2 <= len(knots) <= MAX_KNOTS:
        raise ValueError(f'a map must have 2 to {MAX_KNOTS} knots and as many levels')
    for values, most in ((knots, LIMIT + 1e-6), (levels, MAX_LEVEL)):
        if not (np.abs(values) <= most).all() or not (np.diff(values) > 0).all():
            raise ValueError(f'knots and levels must ascend and lie within {most:.4g}')
    return knots, levels
