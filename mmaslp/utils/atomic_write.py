"""Writing a file so that nobody reads a part of it."""

import os
from pathlib import Path

__all__ = ['write_whole']


def write_whole(path: str, text: str) -> None:
    """Write a text file under another name beside it, then put it into its place.

    A file that is there stays as it was if the process ends before that. A link stays
    one, and what is no file, such as /dev/null, is written to directly.

    Args:
        path (str): Where to; ``~`` is expanded, the folder is made if needed.
        text (str): Its content, written as UTF-8.
    """
    target = Path(path).expanduser()
    if target.exists() and not target.is_file():
        target.write_text(text, encoding='utf-8')
        return
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f'{target.name}.{os.getpid()}.part')
    try:
        part.write_text(text, encoding='utf-8')
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
