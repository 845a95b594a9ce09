"""Progress with the time left, for what takes longer than two seconds.

Functions of the package are silent; the commands let them show it.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from tqdm import tqdm

DELAY = 2.0  # seconds

_Item = TypeVar('_Item')
_wanted: ContextVar[bool] = ContextVar('mmaslp_progress', default=False)


@contextmanager
def showing_progress(wanted: bool = True) -> Iterator[None]:
    """Show progress inside of the block, if stderr is a terminal."""
    token = _wanted.set(wanted)
    try:
        yield
    finally:
        _wanted.reset(token)


def track(
    items: Iterable[_Item], what: str, total: int | None = None
) -> Iterator[_Item]:
    """Iterate, with a bar on stderr that leaves no trace."""
    with tqdm(
        items,
        desc=what,
        total=total,
        delay=DELAY,
        leave=False,
        dynamic_ncols=True,
        file=sys.stderr,
        disable=not (_wanted.get() and sys.stderr.isatty()),
    ) as bar:
        yield from bar
