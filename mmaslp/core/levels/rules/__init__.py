"""The rules that move the levels of images, and one step of the paper's as a function.

To add a rule, write a frozen dataclass that derives from :class:`Rule` (or from
:class:`PenaltyRule`), and enter it into :data:`RULES`.
"""

from typing import Any

from torch import Tensor

from .base import Fixed, Rule, Validation
from .fb import FB
from .paper import MC, ME, SOLVERS, PenaltyRule

__all__ = [
    'FB',
    'MC',
    'ME',
    'RULES',
    'SOLVERS',
    'Fixed',
    'PenaltyRule',
    'Rule',
    'Validation',
    'make_rule',
    'update_alpha',
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
    name: Any = rule
    if isinstance(rule, dict):
        twice = sorted(rule.keys() & options.keys())
        if twice:
            raise ValueError(
                f'{", ".join(twice)} is given twice: in rule and beside it'
            )
        options = {**rule, **options}
        name = options.pop('type', None)
    kind = RULES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f'rule must be one of {", ".join(RULES)}, got {name!r}')
    known = kind.options()
    unknown = [key for key in options if key not in known]
    if unknown:
        takes = f'it takes {", ".join(known)}' if known else 'it takes none'
        raise ValueError(f'rule {name!r} has no option {unknown[0]!r}: {takes}')
    return kind(**options)


def update_alpha(
    alpha: Tensor,
    margin: Tensor,
    *,
    accuracy: float,
    beta: float,
    eta: float,
    lam: float,
    rule: str = 'MC',
    landmark: float | None = None,
    solver: str = 'implicit',
) -> Tensor:
    """One step of the levels of images by a rule of the paper, MC or ME.

    Args:
        alpha (Tensor): Levels, ``(N,)``, floating, in [0, 1].
        margin (Tensor): Margins of the same images
            (:func:`~mmaslp.core.image_margin`), ``(N,)``.
        accuracy (float): Pixel accuracy on the validation set, in [0, 1].
        beta (float): The paper's strength in (0, 2], for every solver.
        eta (float): Step size, > 0.
        lam (float): Weight of the penalty, >= 0.
        rule (str): ``'MC'`` or ``'ME'``. Defaults to 'MC'.
        landmark (float, optional): Accuracy that ``'ME'`` keeps, in [0, 1]. Defaults
            to None.
        solver (str): See :class:`PenaltyRule`. Defaults to 'implicit'.

    Returns:
        Tensor: New levels, ``(N,)``, in the dtype of ``alpha`` (computed in float64).

    Raises:
        ValueError: If an argument is out of its range, a shape differs, a value is not
            finite, or the name of the rule or solver is unknown.

    Source: Liu et al., `Model Calibration in Dense Classification with Adaptive Label
    Perturbation <https://arxiv.org/abs/2307.13539>`_, Eq. 5 and 6.
    """
    kinds: dict[str, type[PenaltyRule]] = {'MC': MC, 'ME': ME}
    if rule not in kinds:
        raise ValueError(f'rule must be one of {", ".join(kinds)}, got {rule!r}')
    validation = Validation(accuracy=accuracy, landmark=landmark)
    made = kinds[rule](eta=eta, lam=lam, solver=solver)
    return made.step(alpha, margin, beta=beta, validation=validation)
