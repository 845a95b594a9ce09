"""Reading JSON files of others: a message, whatever they hold."""

import json
import os
from pathlib import Path
from typing import Any

__all__ = ['read_json']


def read_json(path: str | Path, most_bytes: int) -> Any:
    """Read a JSON file."""
    with open(path, 'rb') as file:
        large = os.fstat(file.fileno()).st_size > most_bytes
        data = b'' if large else file.read(most_bytes + 1)  # a pipe has no size
    if large or len(data) > most_bytes:
        raise ValueError(f'larger than {most_bytes:,} bytes')
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError('nested too deeply') from error
