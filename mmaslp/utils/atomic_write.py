"""Writing a file so that nobody reads an incomplete one."""

import os
from pathlib import Path

__all__ = ['atomic_write']


def atomic_write(path: str | Path, content: str | bytes) -> None:
    """Write a file under another name beside it, then rename it.

    If the process ends before that, an existing file stays unchanged. A link stays a
    link. A path that is not a file, such as /dev/null, is written to directly.

    Args:
        path (str | Path): Where to; ``~`` is expanded, the folder is made if needed.
        content (str | bytes): Text is written as UTF-8, bytes as they are.

    Raises:
        UnicodeEncodeError: If the text cannot be encoded as UTF-8. Encode file names
            that are not UTF-8 with ``errors='surrogateescape'``.
    """
    data = content.encode() if isinstance(content, str) else content
    target = Path(path).expanduser()
    if target.exists() and not target.is_file():
        target.write_bytes(data)
        return
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f'{target.name}.{os.getpid()}.part')
    try:
        part.write_bytes(data)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
