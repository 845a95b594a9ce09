"""Names that users read: odd ones escaped, without folders."""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

# Problems that one error lists.
MAX_LISTED = 40
# An absolute path, or one below a home, that begins a word or follows a sign. What
# follows a colon may be the rest of an address.
_ABSOLUTE = re.compile(
    r"""(?<![^\s'"=,;([{|])(?:[A-Za-z]:[\\/]|[\\/]|~[\w.-]*[\\/])[^\s'",;)\]}|]*"""
)


def display_name(name: object) -> str:
    r"""Escape what cannot be printed, such as a line break as ``\n``."""
    return ''.join(c if c.isprintable() else ascii(c)[1:-1] for c in str(name))


def raise_problems(problems: list[str], where: str) -> None:
    """Raise one error for all problems, if there are any."""
    if not problems:
        return
    alike: dict[str, list[str]] = {}  # but for the name that they begin with
    for problem in problems:
        alike.setdefault(problem.partition(': ')[2] or problem, []).append(problem)

    lines = [f'{len(problems)} problem(s) with {where}:']
    lines += [
        display_name(f'  - {own[0]}')
        + (
            f' (also {some([display_name(x.partition(": ")[0]) for x in own[1:]])})'
            if own[1:]
            else ''
        )
        for own in [*alike.values()][:MAX_LISTED]
    ]
    if len(alike) > MAX_LISTED:
        lines.append(f'  ... and {len(alike) - MAX_LISTED} more')
    raise ValueError('\n'.join(lines))


def unpaired(
    folders: Sequence[object], files: Mapping[str, object], masks: Mapping[str, object]
) -> list[str]:
    """Say which images or maps have no mask, and which masks none of these; by stem."""
    one, other = folders
    if files and masks and files.keys().isdisjoint(masks):
        name, mask = (Path(str(next(iter(x.values())))).name for x in (files, masks))
        return [
            f'{one} and {other}: no name matches at all, such as {name} and {mask}: a '
            'mask needs the name of its image or map, but for the ending: rename them, '
            'or name the right folder'
        ]
    return [
        f'{stem}: has no mask in {other}'
        if stem in files
        else f'mask {stem}: has no partner in {one}'
        for stem in sorted(files.keys() ^ masks.keys())
    ]


def some(names: Sequence[str], most: int = 5) -> str:
    """List the first of some names, and say how many more there are."""
    more = f', ... ({len(names) - most} more)' if len(names) > most else ''
    return ', '.join(names[:most]) + more


def warn_of_others(folder: Path, written: Iterable[Path]) -> None:
    """Name the files of a folder that are not written, but may be taken for such."""
    there = {path.name for path in folder.glob('[!.]*')}
    if left := sorted(there - {path.name for path in written}):
        warnings.warn(
            f'{folder} holds other files too, which stay, maybe of an earlier run: '
            f'{some(left)}',
            stacklevel=3,
        )


def printable(text: str) -> str:
    """Escape names in a text of several lines, see :func:`display_name`."""
    return '\n'.join(map(display_name, text.split('\n')))


def without_folders(text: str) -> str:
    """Keep only the last part of every absolute path.

    A text that begins as a path is taken as one, also with blanks in it.
    """
    if _ABSOLUTE.match(text) and not re.search(r'[\'"=,;\n]', text):
        return _last(text)
    return _ABSOLUTE.sub(lambda found: _last(found[0]), text)


def short_names(names: Sequence[str]) -> list[str]:
    """Leave out the folders that all names share, or all folders where names allow."""
    parts = [name.replace('\\', '/').split('/') for name in names]
    last = [own[-1] for own in parts]
    if len(set(last)) == len(last):
        return last
    folders = zip(*(own[:-1] for own in parts))
    shared = sum(1 for _ in takewhile(lambda each: len({*each}) == 1, folders))
    return ['/'.join(own[shared:]) for own in parts]


def _last(path: str) -> str:
    return re.split(r'[\\/]', path.rstrip('\\/'))[-1] or '/'
