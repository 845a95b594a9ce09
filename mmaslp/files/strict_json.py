"""JSON as its standard has it, without nan and infinity."""

import json
import math
from typing import Any

__all__ = ['strict_json']


def strict_json(value: Any, indent: int | None = None) -> str:
    """Write a value as JSON; numbers that are not finite become null."""
    separators = (',', ':') if indent is None else None
    plain = _plain(value)
    return json.dumps(plain, allow_nan=False, indent=indent, separators=separators)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
