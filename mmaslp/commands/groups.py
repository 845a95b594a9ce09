"""``--groups``: the patient, video or place of each image, found in its name."""

import argparse
import re
import signal
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ..common.options import LEAST_CASES
from .errors import raising

# A pattern such as '(p+)+$' may not end before the universe does.
MOST_SECONDS = 10

# Numbers names by the group of each.
Grouping = Callable[[Sequence[str]], Sequence[int]]


def add_groups(parser: argparse.ArgumentParser) -> None:
    """Add the option of commands that count groups of a fit."""
    parser.add_argument(
        '--groups',
        metavar='PATTERN',
        help='regular expression of what names of one patient or video share, as in '
        'fit: these groups count, and not images',
    )


def grouping(text: str | None, fits: bool = False) -> Grouping | None:
    """Read ``--groups``; None without that option, ValueError if it is no pattern.

    ``fits``: whether a fit follows, which takes a number of groups.
    """
    if text is None:
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ValueError(f'--groups {text}: not a pattern ({error})') from error
    return partial(group_numbers, pattern, fits=fits)


def each_alone(names: Sequence[str]) -> Sequence[int]:
    """Number names where each is a group of its own."""
    return range(len(names))


def groups_by_name(text: str | None, names: Sequence[str]) -> dict[str, int] | None:
    """Number the group of each name by ``--groups``; None without that option."""
    group = grouping(text)
    if group is None:
        return None
    return dict(zip(names, group(names)))


def group_numbers(
    pattern: re.Pattern, names: Sequence[str], fits: bool = False
) -> Sequence[int]:
    """Number names by the group that a pattern finds in them, see :func:`grouping`."""
    from ..common.arguments import numbers_of

    groups = _groups_of(pattern, names)
    different = list(dict.fromkeys(groups))
    if len(different) == 1:
        raise ValueError(
            f'--groups {pattern.pattern}: finds only {different[0]} in the names, and '
            'one group has no interval: leave --groups out, or find more'
        )
    if fits and len(different) < LEAST_CASES:
        raise ValueError(
            f'--groups {pattern.pattern}: finds only {", ".join(different)} '
            f'in the names, and a fit needs {LEAST_CASES} groups: the pattern must '
            "match all that tells patients apart, as '^[^_]+_[^_]+' matches lesion_07 "
            'in lesion_07_ct1'
        )
    if len(different) == len(groups):
        problem = (
            f'--groups {pattern.pattern}: finds another text in each name, such as '
            f'{groups[0]} and {groups[1]}'
        )
        if fits:
            raise ValueError(
                f'{problem}: it must find what files of a group share; leave --groups '
                'out if each file is a group of its own'
            )
        warnings.warn(f'{problem}, so each file counts as a group', stacklevel=2)
    return list(numbers_of(groups))


def _groups_of(pattern: re.Pattern, names: Sequence[str]) -> list[str]:
    """What a pattern finds in each name; it must find something."""
    late = ValueError(
        f'--groups {pattern.pattern}: takes more than {MOST_SECONDS} s: simplify it'
    )
    with raising(signal.SIGALRM, late, MOST_SECONDS):
        matches = [pattern.search(Path(name).name) for name in names]

    groups = [_group_of(match) for match in matches]
    for name, group in zip(names, groups):
        if not group:
            raise ValueError(
                f'--groups {pattern.pattern}: matches nothing in {name}, and must in '
                'each name'
            )
    return groups


def _group_of(match: re.Match | None) -> str:
    """What a pattern finds, or what its parentheses hold; '' of nothing."""
    if match is None:
        return ''
    found = [text for text in match.groups() if text]
    if len(found) > 1:
        return str(found)  # joined, two groups could have one name
    return ''.join(found) or match.group()
