"""Names that users read: odd ones escaped, without folders."""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
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
        reason = problem.partition(': ')[2] or problem
        alike.setdefault(reason, []).append(problem)

    lines = [f'{len(problems)} problem(s) with {where}:']
    for first, *others in list(alike.values())[:MAX_LISTED]:
        line = display_name(f'  - {first}')
        if others:
            names = [display_name(problem.partition(': ')[0]) for problem in others]
            line += f' (also {some(names)})'
        lines.append(line)
    if len(alike) > MAX_LISTED:
        lines.append(f'  ... and {len(alike) - MAX_LISTED} more')
    raise ValueError('\n'.join(lines))


def unpaired(
    folders: Sequence[object], files: Mapping[str, object], masks: Mapping[str, object]
) -> list[str]:
    """Say which images or maps have no mask, and which masks none of these; by stem."""
    one, other = folders
    if files and masks and files.keys().isdisjoint(masks):
        file = Path(str(next(iter(files.values())))).name
        mask = Path(str(next(iter(masks.values())))).name
        return [
            f'{one} and {other}: no name matches at all, such as {file} and {mask}: a '
            'mask needs the name of its image or map, except for the ending: rename '
            'them, or name the right folder'
        ]

    problems = []
    for stem in sorted(files.keys() ^ masks.keys()):
        if stem in files:
            problems.append(f'{stem}: has no mask in {other}')
        else:
            problems.append(f'mask {stem}: has no partner in {one}')
    return problems


def some(names: Sequence[str], most: int = 5) -> str:
    """List the first of some names, and say how many more there are."""
    listed = ', '.join(names[:most])
    if len(names) > most:
        listed += f', ... ({len(names) - most} more)'
    return listed


def warn_of_others(folder: Path, written: Iterable[Path]) -> None:
    """Name the files of a folder that are not written, but may be taken for such."""
    there = {path.name for path in folder.glob('[!.]*')}
    left = sorted(there - {path.name for path in written})
    if left:
        warnings.warn(
            f'{folder} contains other files too, which stay, maybe of an earlier run: '
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
    paths = [name.replace('\\', '/').split('/') for name in names]
    last = [path[-1] for path in paths]
    if len(set(last)) == len(last):
        return last

    shared = 0
    for folders in zip(*(path[:-1] for path in paths)):
        if len(set(folders)) > 1:
            break
        shared += 1
    return ['/'.join(path[shared:]) for path in paths]


def _last(path: str) -> str:
    return re.split(r'[\\/]', path.rstrip('\\/'))[-1] or '/'
