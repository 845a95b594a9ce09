"""Names that users write and read: the nearest known one."""

import difflib
from collections.abc import Iterable

__all__ = ['nearest']


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean ...?`` for the most similar known word, or nothing.

    Args:
        word (str): What the user wrote.
        known (Iterable[str]): What is allowed.
    """
    found = difflib.get_close_matches(word, list(known), n=1)
    return f'; did you mean {found[0]}?' if found else ''
