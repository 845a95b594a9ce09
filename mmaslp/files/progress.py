"""Progress with the time left, for what takes longer than two seconds.

Functions of the package are silent; a command sets :data:`enabled`.
"""

import sys
from collections.abc import Iterable

from tqdm import tqdm

DELAY = 2.0  # seconds
enabled = False  # whether there are bars, if stderr is a terminal


def track(items: Iterable, what: str, total: int | None = None) -> tqdm:
    """Iterate, with a bar on stderr that leaves no trace."""
    return tqdm(
        items,
        desc=what,
        total=total,
        delay=DELAY,
        leave=False,
        dynamic_ncols=True,
        file=sys.stderr,
        disable=not (enabled and sys.stderr and sys.stderr.isatty()),
    )
