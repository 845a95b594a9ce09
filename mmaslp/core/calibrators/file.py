"""The JSON file of a calibrator."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..bands import BORDER_EDGES
from .cells import LIMIT
from .maps import MAPS, TARGETS, Knots

if TYPE_CHECKING:
    from .calibrator import Calibrator

__all__ = ['read', 'write']

FORMAT = 'mmaslp calibrator'
VERSION = 1
MAX_BYTES = 2**20
MAX_KNOTS = 1024
# Largest calibrated logit of a knot; a temperature of 2**-10 gives 16500.
MAX_LEVEL = 2e4


def write(calibrator: Calibrator, file: str | Path) -> None:
    """Write a calibrator, under another name first: nobody reads half a file."""
    maps = [
        dict(knots=list(map(float, x)), levels=list(map(float, y)))
        for x, y in calibrator.maps
    ]
    content = dict(
        format=FORMAT,
        version=VERSION,
        method=calibrator.method,
        by=calibrator.by,
        target=calibrator.target,
        edges=list(BORDER_EDGES),
        maps=maps,
        **calibrator.record,
    )
    file = Path(file).expanduser()
    part = file.with_name(f'{file.name}.{os.getpid()}.part')
    try:
        part.write_text(json.dumps(content, indent=1, allow_nan=False) + '\n')
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def read(file: str | Path) -> dict[str, Any]:
    """Read and check the arguments of a calibrator.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no calibrator.
    """
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


def _checked(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ValueError('it holds no mapping')
    if 'temperature' in content and 'format' not in content:
        raise ValueError('it is a temperature of an earlier version')
    for key, known in (
        ('format', [FORMAT]),
        ('version', [VERSION]),
        ('method', list(MAPS)),
        ('by', ['single', 'band']),
        ('target', list(TARGETS)),
        ('edges', [list(BORDER_EDGES)]),
    ):
        if content[key] not in known:
            raise ValueError(f'{key} must be {_choice(known)}')
    maps = [_knots(each) for each in content['maps']]
    bands = len(BORDER_EDGES) + 1 if content['by'] == 'band' else 1
    if len(maps) != bands:
        raise ValueError(f'it needs {bands} maps, not {len(maps)}')
    own = ('method', 'by', 'target')
    taken = {*own, 'format', 'version', 'edges', 'maps'}
    record = {key: value for key, value in content.items() if key not in taken}
    return dict(**{key: content[key] for key in own}, maps=maps, record=record)


def _knots(content: dict[str, list[float]]) -> Knots:
    """Check one map."""
    knots, levels = (np.array(content[key], np.float64) for key in ('knots', 'levels'))
    if not 2 <= len(knots) <= MAX_KNOTS or knots.shape != levels.shape:
        raise ValueError(f'a map must have 2 to {MAX_KNOTS} knots and as many levels')
    for values, most in ((knots, LIMIT + 1e-6), (levels, MAX_LEVEL)):
        if not (np.abs(values) <= most).all() or not (np.diff(values) > 0).all():
            raise ValueError(f'knots and levels must ascend and lie within {most:.4g}')
    return knots, levels


def _choice(known: list[Any]) -> str:
    return ' or '.join(map(repr, known))
