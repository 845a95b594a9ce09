"""Which image is which, in results that were measured in different places."""

from collections.abc import Sequence
from pathlib import PurePath

__all__ = ['rows_by_name']


def rows_by_name(names: Sequence[str]) -> dict[str, int]:
    """Find the row of each image by its stem, or by its path if stems repeat."""
    stems = [PurePath(name).stem for name in names]
    if len(set(stems)) == len(stems):
        names = stems
    if len(set(names)) < len(names):
        raise ValueError('the same image is in it more than once')
    return {name: row for row, name in enumerate(names)}
