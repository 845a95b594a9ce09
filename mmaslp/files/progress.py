"""Progress with the time left, for what takes longer than two seconds.

Functions of the package are silent; a command sets :data:`shown`.
"""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

DELAY = 2.0  # seconds
enabled = False  # whether there are bars, if stderr is a terminal

_Item = TypeVar('_Item')


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
        disable=not (enabled and sys.stderr.isatty()),
    ) as bar:
        yield from bar
