"""Progress with the time left, for what takes longer than two seconds.

Functions of the package are silent; the commands let them show it.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from tqdm import tqdm

__all__ = ['progress_bar', 'progress_shown', 'showing_progress', 'track']

DELAY = 2.0  # seconds

_Item = TypeVar('_Item')
# The bars that were made where progress is shown; None where it is not.
_bars: ContextVar[list[tqdm] | None] = ContextVar('mmaslp_bars', default=None)


@contextmanager
def showing_progress(wanted: bool = True) -> Iterator[None]:
    """Show progress inside of the block, if stderr is a terminal.

    No bar is left after it, however it ends.
    """
    bars: list[tqdm] = []
    token = _bars.set(bars if wanted else None)
    try:
        yield
    finally:
        _bars.reset(token)
        for bar in bars:
            bar.close()


def progress_shown() -> bool:
    """Whether progress is shown here."""
    return _bars.get() is not None and sys.stderr.isatty()


def progress_bar(what: str, total: int | None, done: int = 0) -> tqdm:
    """Make a bar on stderr that appears after two seconds and leaves no trace."""
    bar = tqdm(
        desc=what,
        total=total,
        initial=done,
        delay=DELAY,
        leave=False,
        dynamic_ncols=True,
        file=sys.stderr,
        disable=not progress_shown(),
    )
    if (bars := _bars.get()) is not None:
        bars.append(bar)
    return bar


def track(
    items: Iterable[_Item], what: str, total: int | None = None
) -> Iterator[_Item]:
    """Iterate, and show progress where it is shown."""
    if total is None and hasattr(items, '__len__'):
        total = len(items)
    with progress_bar(what, total) as bar:
        for item in items:
            yield item
            bar.update()
