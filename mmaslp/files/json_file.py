"""Reading JSON files of others: a message, whatever they hold."""

import json
import os
from pathlib import Path
from typing import Any

__all__ = ['read_json']


def read_json(path: str | Path, most_bytes: int) -> Any:
    """Read a JSON file.

    Args:
        path (str | Path): The file.
        most_bytes (int): Refuse a larger one, before it is read.

    Raises:
        OSError: It cannot be read.
        ValueError: It is larger, or no JSON; the message does not name the file.
    """
    with open(path, 'rb') as file:
        large = os.fstat(file.fileno()).st_size > most_bytes
        data = b'' if large else file.read(most_bytes + 1)  # a pipe has no size
    if large or len(data) > most_bytes:
        raise ValueError(f'larger than {most_bytes:,} bytes')
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError('nested too deeply') from error
