"""The rules that move the levels of images: the paper's MC and ME, and our FB."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..common.arguments import check_choice, check_number, optional
from ..losses.perturbations import check_beta, max_alpha


def check_fraction(name: str, value: float) -> float:
    """Refuse what a validation cannot have measured."""
    hint = ' (a fraction, not per cent)'
    return check_number(name, value, at_least=0, at_most=1, hint=hint)


@dataclass(frozen=True)
class Validation:
    """What the last validation measured; fractions."""

    accuracy: float
    confidence: float | None = None
    landmark: float | None = None  # accuracy that ME keeps
    visits: float = 1.0  # of an image between two validations

    def __post_init__(self) -> None:
        check_fraction('accuracy', self.accuracy)
        optional(check_fraction, 'confidence', self.confidence)
        optional(check_fraction, 'landmark', self.landmark)
        check_number('visits', self.visits, above=0)


RULES: dict[str, type['Rule']] = {}


class Rule(ABC):
    """Moves the levels of the images of a batch; its fields are its options.

    A subclass with a ``name`` is known by it.
    """

    name: ClassVar[str]  # in configs and states
    learns: ClassVar[bool] = True
    required_field: ClassVar[str] = 'accuracy'  # of the validation

    def __init_subclass__(cls) -> None:
        if 'name' in vars(cls):
            RULES[cls.name] = cls

    def next_landmark(
        self, landmark: float | None, accuracy: float, warming_up: bool
    ) -> float | None:
        """Landmark after a validation; None for rules without one."""
        return None

    def max_level(self, beta: float) -> float:
        """Highest level that the rule gives at strength ``beta``."""
        return max_alpha(beta)

    def step(
        self, alpha: Tensor, margin: Tensor, *, beta: float, validation: Validation
    ) -> Tensor:
        """Levels of the images of one batch after a step, within :meth:`max_level`.

        ``margin`` is that of :func:`~mmaslp.losses.image_margin`, ``(N,)`` as
        ``alpha``. Levels keep the dtype of ``alpha`` and are computed in float64.
        """
        beta = check_beta(beta)
        if alpha.shape != margin.shape or alpha.dim() != 1:
            raise ValueError('alpha and margin must both have the shape (N,)')
        if getattr(validation, self.required_field) is None:
            raise ValueError(
                f'rule={self.name!r} needs the {self.required_field} of a validation: '
                'give it too'
            )

        stepped = self._step(alpha.double(), margin.double(), beta, validation)
        if not stepped.sum().isfinite():  # levels are small: finite if all are
            raise ValueError(
                'alpha or margin is not finite: leave images with nan logits out'
            )
        return stepped.clamp_(0.0, self.max_level(beta)).to(alpha.dtype)

    @abstractmethod
    def _step(self, alpha: Tensor, margin: Tensor, beta: float, now: Validation) -> Any:
        """Levels before they are clipped, ``(N,)``, float64."""


@dataclass(frozen=True)
class Fixed(Rule):
    """Every image keeps its first level: stochastic label perturbation (SLP)."""

    name = 'fixed'
    learns = False

    def _step(self, alpha: Tensor, margin: Tensor, beta: float, now: Validation) -> Any:
        return alpha.clone()


@dataclass(frozen=True)
class PenaltyRule(Rule):
    r"""The gradient of the expected loss, balanced by a penalty.

    .. math:: \alpha_i \leftarrow \mathrm{clip}(\alpha_i +
              \eta (\tfrac{\beta}{2} m_i + \lambda \min(0, a - b \alpha_i)), 0,
              \alpha_{max})

    with the margin :math:`m_i` and :math:`\alpha_{max} = \min(1, 1/\beta - 0.01)`. A
    subclass gives the intercept a and the slope b.
    """

    eta: float = 0.002
    lam: float = 2000.0
    solver: str = 'implicit'

    def __post_init__(self) -> None:
        check_number('eta', self.eta, above=0)
        check_number('lam', self.lam, at_least=0)
        check_choice('solver', self.solver, ('implicit', 'explicit', 'released'))

    @abstractmethod
    def _penalty(self, beta: float, now: Validation) -> tuple[float, float]:
        """Intercept and slope of the penalty."""

    def _step(self, alpha: Tensor, margin: Tensor, beta: float, now: Validation) -> Any:
        intercept, slope = self._penalty(beta, now)
        gradient = 0.5 * beta * margin
        if self.solver == 'implicit':
            # Backward Euler in the penalty: stable for every eta, lam > 0.
            free = alpha + self.eta * gradient
            pull = self.eta * self.lam
            bound = (free + pull * intercept) / (1.0 + pull * slope)
            return torch.where(intercept - slope * free >= 0, free, bound)

        if self.solver == 'released':
            # The official script divides the gradient by its beta (half of the paper's)
            # where the formula multiplies.
            gradient = margin / (0.5 * beta)

        penalty = (intercept - slope * alpha).clamp_max(0.0)
        free = alpha + self.eta * (gradient + self.lam * penalty)
        if self.solver == 'explicit':
            return free
        return torch.where(free >= 1.0 / beta, 1.0 / beta - 0.01, free)

    def max_level(self, beta: float) -> float:
        """See :meth:`Rule.max_level`; the released code allows higher levels."""
        if self.solver == 'released':
            return 1.0 / beta
        return super().max_level(beta)


@dataclass(frozen=True)
class MC(PenaltyRule):
    r"""Model calibration: the target's expected confidence meets the accuracy A.

    :class:`PenaltyRule` with the penalty :math:`\min(0, 1 - \beta \alpha_i / 2 - A)`.
    """

    name = 'MC'

    def _penalty(self, beta: float, now: Validation) -> tuple[float, float]:
        return 1.0 - now.accuracy, 0.5 * beta


@dataclass(frozen=True)
class ME(PenaltyRule):
    r"""Maximum entropy: the levels rise while the accuracy A keeps its landmark.

    :class:`PenaltyRule` with the penalty :math:`\min(0, A - A_{lm})`.

    Args:
        landmark (str): ``'best'``: the best accuracy so far; ``'warmup'``: that at the
            end of warm-up. Defaults to 'best'.
    """

    name = 'ME'
    required_field = 'landmark'
    landmark: str = 'best'

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice('landmark', self.landmark, ('best', 'warmup'))

    def next_landmark(
        self, landmark: float | None, accuracy: float, warming_up: bool
    ) -> float | None:
        """See :meth:`Rule.next_landmark`."""
        if landmark is None or (self.landmark == 'warmup' and warming_up):
            return accuracy
        if self.landmark == 'best':
            return max(accuracy, landmark)
        return landmark

    def _penalty(self, beta: float, now: Validation) -> tuple[float, float]:
        return now.accuracy - now.landmark, 0.0  # type: ignore[operator]


@dataclass(frozen=True)
class FB(Rule):
    r"""Feedback: the network's own confidence meets its accuracy.

    .. math:: \alpha_i \leftarrow \mathrm{clip}(\alpha_i + \frac{k}{V}
              \frac{2}{\beta}\, g\, w_i, 0, \alpha_{max}), \qquad
              k = \frac{gain}{1 + gain}

    with the gap g, mean confidence - accuracy, and V visits of an image between two
    validations. The weights :math:`w_i` have a mean of 1 over the images given. They
    are proportional to the positive part of the margin while g > 0, and to the level
    while g < 0. So the mean target confidence moves by -k g from one validation to the
    next. With a network of lag :math:`\rho` in [0, 1) that loop has the polynomial
    :math:`z^2 - (1 + \rho) z + \rho + k (1 - \rho)`, stable for 0 < k < 1, so for
    every gain.

    Args:
        gain (float): Of the implicit step, > 0. Defaults to 1.

    Source: ours.
    """

    name = 'FB'
    required_field = 'confidence'
    gain: float = 1.0

    def __post_init__(self) -> None:
        check_number('gain', self.gain, above=0)

    def _step(self, alpha: Tensor, margin: Tensor, beta: float, now: Validation) -> Any:
        gap = now.confidence - now.accuracy  # type: ignore[operator]
        # Implicit: the gap that is left after the step, g' = g - beta / 2 * mean step.
        gain = self.gain / (1.0 + self.gain)
        # Rising levels share the step by margin, falling ones by level. The shares of a
        # batch have a mean of 1, so the mean level moves by a known amount.
        share = margin.clamp_min(0.0) if gap > 0 else alpha
        mean = share.mean()
        if not mean > 0:
            return alpha.clone()
        step = gain / now.visits * (2.0 / beta) * gap
        return alpha + step * (share / mean)


def make_rule(rule: str | Rule, **options: Any) -> Rule:
    """Make a rule from a name in :data:`RULES` and options."""
    if isinstance(rule, Rule) and not options:
        return rule
    rule_class = RULES[check_choice('rule', rule, list(RULES))]  # type: ignore[index, arg-type]
    names = [field.name for field in fields(rule_class)]  # type: ignore[arg-type]
    for key in options:
        if key not in names:
            raise ValueError(
                f'there is no argument {key!r}: rule {rule!r} has '
                f'{", ".join(names) or "none of its own"}; beta belongs to the loss, '
                "gain to levels='band'; ASLPHook has warmup_epochs and warmup_iters"
            )
    return rule_class(**options)
