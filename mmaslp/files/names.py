"""Names that users write and read: the nearest known one, and how to show odd ones."""

import difflib
import os.path as osp
from collections.abc import Iterable


def missing(path: str) -> str:
    """Return the absolute path of a file that is not there, and why if it is a link."""
    place = osp.abspath(path)
    return f'{place}, a link that leads nowhere' if osp.islink(place) else place


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean ...?`` for the most similar known word, or nothing."""
    found = difflib.get_close_matches(word, list(known), n=1)
    return f'; did you mean {found[0]}?' if found else ''


def shown(name: object) -> str:
    r"""Escape what cannot be printed, such as a line break as ``\n``."""
    text = str(name)
    return ''.join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def printable(text: str) -> str:
    """Escape names in a text of several lines, see :func:`shown`."""
    return '\n'.join(map(shown, text.split('\n')))
