"""Writing a file so that nobody reads an incomplete one."""

import os
from pathlib import Path


def atomic_write(
    path: str | Path, content: str | bytes, follow_links: bool = True
) -> None:
    """Write a file under another name beside it, then rename it.

    If the process ends before that, or the disk is full, an existing file stays
    unchanged and no part of the new one is left. A path that is not a file, such as
    /dev/null, is written to directly.
    """
    data = content.encode() if isinstance(content, str) else content
    target = Path(path).expanduser()
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return
        if follow_links:
            target = Path(os.path.realpath(target))
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f'{target.name}.{os.getpid()}.part')
        try:
            part.write_bytes(data)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        # Of the system it would name the part, or nothing.
        reason = f'cannot be written ({error.strerror})'
        raise OSError(error.errno, reason, str(path)) from error
