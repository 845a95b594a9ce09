"""The JSON file of a calibrator."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..bands import BORDER_EDGES
from .cells import LIMIT
from .maps import MAPS, TARGETS, Knots

MAX_BYTES = 2**20
MAX_KNOTS = 1024
# Largest calibrated logit of a knot; the least temperature gives 16500.
MAX_LEVEL = 2e4
BANDS = len(BORDER_EDGES) + 1
# What every file says, and what it may say of the maps.
_HEAD = dict(format='mmaslp calibrator', version=1, edges=list(BORDER_EDGES))
_CHOICES = dict(method=tuple(MAPS), by=('single', 'band'), target=TARGETS)


def write(arguments: dict[str, Any], file: str | Path) -> None:
    """Write a calibrator, under another name first: nobody reads half a file."""
    content = {**_HEAD, **arguments}
    for key in ('maps', 'mask_maps'):
        content[key] = [
            dict(knots=np.array(knots).tolist(), levels=np.array(levels).tolist())
            for knots, levels in content[key]
        ]
    file = Path(file).expanduser()
    part = file.with_name(f'{file.name}.{os.getpid()}.part')
    try:
        part.write_text(json.dumps(content, indent=1, allow_nan=False) + '\n')
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def read(file: str | Path) -> dict[str, Any]:
    """Read and check the arguments of a calibrator; ValueError if they are none."""
    file = Path(file).expanduser()
    with file.open('rb') as stream:
        data = stream.read(MAX_BYTES + 1)
    try:
        if len(data) > MAX_BYTES:
            raise ValueError(f'it has more than {MAX_BYTES:,} bytes')
        return _checked(json.loads(data))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        what = f'it lacks {error}' if isinstance(error, KeyError) else error
        raise ValueError(
            f'{file} is not a calibrator: {what}; make one with mmaslp fit'
        ) from error


def _checked(content: dict[str, Any]) -> dict[str, Any]:
    for key, value in _HEAD.items():
        if content[key] != value:
            raise ValueError(f'{key} must be {value!r}')
    for key, choices in _CHOICES.items():
        if content[key] not in choices:
            raise ValueError(f'{key} must be one of {", ".join(choices)}')
    found = {key: content[key] for key in (*_CHOICES, 'record')}
    bands = BANDS if content['by'] == 'band' else 1
    for key, numbers in (('maps', (bands,)), ('mask_maps', (0, BANDS))):
        found[key] = [_knots(each) for each in content[key]]
        if len(found[key]) not in numbers:
            raise ValueError(f'it needs {numbers[-1]} {key}')
    if not isinstance(found['record'], dict):
        raise ValueError('it needs a record')
    return found


def _knots(content: dict[str, list[float]]) -> Knots:
    knots, levels = (np.array(content[key], float) for key in ('knots', 'levels'))
    if not 2 <= len(knots) <= MAX_KNOTS or knots.shape != levels.shape:
        raise ValueError(f'a map must have 2 to {MAX_KNOTS} knots and as many levels')
    for values, most in ((knots, LIMIT + 1e-6), (levels, MAX_LEVEL)):
        if not (np.abs(values) <= most).all() or not (np.diff(values) > 0).all():
            raise ValueError(f'knots and levels must ascend and lie within {most:.4g}')
    return knots, levels
