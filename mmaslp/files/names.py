"""Names that users write and read: the nearest known one, and how to show odd ones."""

import difflib
import os.path as osp
import unicodedata
from collections.abc import Iterable

__all__ = ['missing', 'nearest', 'printable', 'shown']


def missing(path: str) -> str:
    """Return the absolute path of a file that is not there, and why if it is a link.

    Args:
        path (str): The path.
    """
    place = osp.abspath(path)
    return f'{place}, a link that leads nowhere' if osp.islink(place) else place


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean ...?`` for the most similar known word, or nothing.

    Args:
        word (str): What the user wrote.
        known (Iterable[str]): What is allowed.
    """
    found = difflib.get_close_matches(word, list(known), n=1)
    return f'; did you mean {found[0]}?' if found else ''


def shown(name: object) -> str:
    r"""Escape what a reader of a name cannot see.

    Args:
        name (object): A name or path.

    Returns:
        str: Control characters, line breaks among them, and what is no text as ``\n``,
        ``\x1b``, ``\u200b``; bytes that are not UTF-8 as ``\xff``. A letter that
        is written as two characters, and so looks like another name of one character
        (Unicode's NFD and NFC), shows its second: ``e\u0301``.
    """
    text = str(name)
    composed = unicodedata.is_normalized('NFC', text)
    return ''.join(_shown(each, composed) for each in text)


def printable(text: str) -> str:
    """Escape names in a text of several lines, see :func:`shown`.

    Args:
        text (str): A message.
    """
    return '\n'.join(map(shown, text.split('\n')))


def _shown(character: str, composed: bool) -> str:
    if '\udc80' <= character <= '\udcff':  # a byte, as Python keeps it in a str
        return f'\\x{ord(character) - 0xDC00:02x}'
    apart = not composed and unicodedata.combining(character)
    if apart or not character.isprintable():
        return character.encode('unicode_escape').decode('ascii')
    return character
