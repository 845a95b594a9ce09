"""How a command ends: exit codes, and one message instead of a traceback."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

__all__ = ['DONE', 'FAILED', 'REFUSED', 'exit_code_of', 'exit_on_user_error']

DONE, FAILED, REFUSED = 0, 1, 2


def exit_code_of(work: Callable[[], int | None]) -> int:
    """Run a command; print one message if it raises; return the exit code.

    The traceback of a ValueError or of a missing file or module names our code, not
    what to change. ``MMASLP_TRACEBACK=1`` shows it.

    Args:
        work (Callable): The command; it returns an exit code, or None for 0.
    """
    try:
        return work() or DONE
    except (ValueError, OSError, ImportError) as error:
        if os.environ.get('MMASLP_TRACEBACK'):
            raise
        print(
            f'error: {error}\n(MMASLP_TRACEBACK=1 shows where it was raised)',
            file=sys.stderr,
        )
        return REFUSED


def exit_on_user_error(main: Callable) -> Callable:
    """Decorate a script's ``main``: it ends as a command does.

    Args:
        main (Callable): Returns an exit code, or None for 0.
    """

    @wraps(main)
    def run(*args: Any, **kwargs: Any) -> None:
        code = exit_code_of(lambda: main(*args, **kwargs))
        if code:
            sys.exit(code)

    return run
