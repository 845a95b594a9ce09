"""What a calibrator looks like as plain values, and the JSON file of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..argument_checks import check_choice, check_path
from ..bands import BORDER_EDGES
from .cells import LIMIT
from .maps import MAPS, TARGETS, Knots

MAX_BYTES = 2**20
MAX_KNOTS = 1024
# Largest calibrated logit of a knot; the least temperature gives 16500.
MAX_LEVEL = 2e4
BANDS = len(BORDER_EDGES) + 1
# What plain values always say, and what they may say of the maps.
_HEAD = dict(format='mmaslp calibrator', version=1, edges=list(BORDER_EDGES))
_FIELDS = ('method', 'by', 'target', 'maps', 'record', 'mask_maps')
_CHOICES = dict(method=tuple(MAPS), by=('single', 'band'), target=TARGETS)
_BROKEN = (AttributeError, KeyError, OverflowError, RecursionError, TypeError)


def to_plain(calibrator: Any) -> dict[str, Any]:
    """Give the arguments of a calibrator as numbers, texts, lists and dicts."""
    plain = {**_HEAD, **{name: getattr(calibrator, name) for name in _FIELDS}}
    for key in ('maps', 'mask_maps'):
        plain[key] = [
            dict(knots=np.array(knots).tolist(), levels=np.array(levels).tolist())
            for knots, levels in plain[key]
        ]
    return plain


def from_plain(plain: Any) -> dict[str, Any]:
    """Give the arguments that :func:`to_plain` took; ValueError if these are none."""
    try:
        content = dict(plain)
        for key, value in _HEAD.items():
            if content.pop(key) != value:
                raise ValueError(f'{key} must be {value!r}')
        unknown = content.keys() - {*_FIELDS}
        if unknown:
            raise ValueError(f'{", ".join(sorted(unknown))} is not known')
        for key in ('maps', 'mask_maps'):
            content[key] = [(each['knots'], each['levels']) for each in content[key]]
        return {name: content[name] for name in _FIELDS}
    except _BROKEN as error:
        what = f'it lacks {error}' if isinstance(error, KeyError) else error
        raise ValueError(str(what)) from error


def read_plain(file: str | Path) -> Any:
    """Read the values of a JSON file; ValueError if it is not one."""
    file = Path(check_path('file', file)).expanduser()
    if file.exists() and not file.is_file() and not file.is_dir():
        raise ValueError('it is not a file')  # a pipe never ends

    with file.open('rb') as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f'it has more than {MAX_BYTES:,} bytes')

    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def checked_arguments(content: dict[str, Any]) -> dict[str, Any]:
    """Refuse arguments that make no calibrator; knots become arrays."""
    for key, choices in _CHOICES.items():
        check_choice(key, content[key], choices)

    bands = BANDS if content['by'] == 'band' else 1
    targets = dict(maps=content['target'], mask_maps='probability')
    found = {}
    for key, numbers in (('maps', (bands,)), ('mask_maps', (0, BANDS))):
        try:
            found[key] = [_knots(each, targets[key]) for each in content[key]]
        except (OverflowError, TypeError) as error:
            raise ValueError(f'{key} must be pairs of numbers ({error})') from error
        if len(found[key]) not in numbers:
            raise ValueError(f'it needs {numbers[-1]} {key}')

    if not isinstance(content['record'], dict):
        raise ValueError('it needs a record')
    return found


def _knots(given: Any, target: str) -> Knots:
    knots, levels = (np.array(each, float) for each in given)
    fits = knots.ndim == 1 and knots.shape == levels.shape
    if not fits or not 2 <= len(knots) <= MAX_KNOTS:
        raise ValueError(f'a map must have 2 to {MAX_KNOTS} knots and as many levels')
    for values, most in ((knots, LIMIT + 1e-6), (levels, MAX_LEVEL)):
        if not (np.abs(values) <= most).all() or not (np.diff(values) > 0).all():
            raise ValueError(f'knots and levels must ascend and lie within {most:.4g}')
    # The size of a logit is never negative, and the logit itself is.
    if (knots[0] < 0) != (target == 'probability'):
        raise ValueError(f'its knots are not those of the target {target!r}')
    return knots, levels
