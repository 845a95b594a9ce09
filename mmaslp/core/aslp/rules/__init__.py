"""The learning rules of the perturbation levels, one per file, and their registry.

To add a rule, write a frozen dataclass that derives from :class:`Rule` (or from
:class:`PenaltyRule`) in a new file, and enter it into :data:`RULES`.
"""

from typing import Any

from .base import Measured, Rule
from .fb import FB
from .fixed import Fixed
from .mc import MC
from .me import ME
from .penalty import SOLVERS, PenaltyRule

__all__ = [
    'FB',
    'MC',
    'ME',
    'RULES',
    'SOLVERS',
    'Fixed',
    'Measured',
    'PenaltyRule',
    'Rule',
    'make_rule',
]

RULES: dict[str, type[Rule]] = {rule.name: rule for rule in (MC, ME, FB, Fixed)}


def make_rule(rule: str | dict[str, Any] | Rule, **options: Any) -> Rule:
    """Make a rule from its name and options.

    Args:
        rule (str | dict | Rule): A name in :data:`RULES`; a dictionary with the name as
            ``type`` and options; or a rule.
        **options: Options of the rule, besides its name.

    Returns:
        Rule: The rule.

    Raises:
        ValueError: If the name or an option is unknown, or an option is out of range.

    Example:
        >>> make_rule('FB', gain=0.5)
        FB(gain=0.5, gap='mean', solver='implicit')
    """
    if isinstance(rule, Rule):
        if options:
            raise ValueError(
                f'rule is an object already: give {", ".join(options)} to it, not '
                'beside it'
            )
        return rule
    if isinstance(rule, dict):
        twice = sorted(rule.keys() & options.keys())
        if twice:
            raise ValueError(
                f'{", ".join(twice)} stands both in rule and beside it: give it once'
            )
        options = {**rule, **options}
        name = options.pop('type', None)
    else:
        name = rule
    kind = RULES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f'rule must be one of {", ".join(RULES)}, got {name!r}')
    known = kind.options()
    unknown = [key for key in options if key not in known]
    if unknown:
        takes = f'it takes {", ".join(known)}' if known else 'it takes none'
        raise ValueError(f'rule {name!r} has no option {unknown[0]!r}: {takes}')
    return kind(**options)
