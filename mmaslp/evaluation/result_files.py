"""JSON files of one result or several."""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..common.inputs import check_file
from ..common.outputs import write_output
from .result import Result

# Largest result file that is read: 2 to 5 KB per image.
MAX_BYTES = 2**28


def save_result(
    path: str | Path,
    result: Result | Sequence[Result],
    indent: int | None = 1,
    overwrite: bool = False,
) -> None:
    """Write a result, or a list of them, as strict JSON in one step; nan becomes null.

    The folder is made if needed. ``indent`` None gives the shortest file.
    """
    several = not isinstance(result, Result)
    content = [entry.to_json() for entry in result] if several else result.to_json()
    write_output(path, strict_json(content, indent) + '\n', overwrite)


def strict_json(value: Any, indent: int | None = None) -> str:
    """Write a value as JSON; numbers that are not finite become null."""
    separators = (',', ':') if indent is None else None
    value = _finite(value)
    return json.dumps(value, allow_nan=False, indent=indent, separators=separators)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def load_results(path: str | Path) -> list[Result]:
    """Read the results of a file.

    Raises:
        ValueError: It cannot be read, is not such a file, or is of another version of
            the format. The message names the file.
    """
    try:
        check_file(path, MAX_BYTES)
        content = json.loads(Path(path).read_bytes())
        contents = content if isinstance(content, list) else [content]
        if not contents:
            raise ValueError('it is empty')
        return [Result.from_json(content) for content in contents]

    except OSError as error:
        raise ValueError(f'{path}: cannot be read ({error.strerror})') from error
    except (
        AttributeError,
        KeyError,
        OverflowError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        what = f'it lacks {error}' if isinstance(error, KeyError) else error
        raise ValueError(
            f'{path}: is not a result file of mmaslp ({what}); make one with '
            '`mmaslp test` or `mmaslp eval-maps --json`'
        ) from error


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()
