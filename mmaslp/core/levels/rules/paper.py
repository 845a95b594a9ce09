"""The paper's rules, MC and ME, and their solvers."""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from ...argument_checks import check_choice, check_number
from .base import Rule, Validation

__all__ = ['MC', 'ME', 'SOLVERS', 'PenaltyRule']

SOLVERS = ('implicit', 'explicit', 'released')


@dataclass(frozen=True)
class PenaltyRule(Rule):
    r"""The gradient of the expected loss, balanced by a penalty.

    .. math:: \alpha_i \leftarrow \mathrm{clip}(\alpha_i +
              \eta (\tfrac{\beta}{2} m_i + \lambda \min(0, a - b \alpha_i)), 0,
              \alpha_{max})

    with the margin :math:`m_i` and :math:`\alpha_{max} = \min(1, 1/\beta - 0.01)`. A
    subclass gives the intercept a and the slope b.

    Args:
        eta (float): Step size, > 0. Defaults to 0.002.
        lam (float): Weight of the penalty, >= 0. Defaults to 2000.
        solver (str): ``'implicit'`` treats the penalty implicitly and is stable for
            every ``eta`` and ``lam``; ``'explicit'`` is the formula above;
            ``'released'`` reproduces the arithmetic of the official code, its clamp
            included. Defaults to 'implicit'.

    Raises:
        ValueError: If an option is out of its range.

    Source: Liu et al., `Model Calibration in Dense Classification with Adaptive Label
    Perturbation <https://arxiv.org/abs/2307.13539>`_, Eq. 5 and 6; the implicit solver
    is ours (docs/rules.md derives it).
    """

    eta: float = 0.002
    lam: float = 2000.0
    solver: str = 'implicit'

    def __post_init__(self) -> None:
        check_number('eta', self.eta, above=0)
        check_number('lam', self.lam, at_least=0)
        check_choice('solver', self.solver, SOLVERS)

    @abstractmethod
    def _penalty(self, beta: float, validation: Validation) -> tuple[float, float]:
        """Intercept and slope of the penalty."""

    def _step(
        self,
        alpha: Tensor,
        margin: Tensor,
        beta: float,
        validation: Validation,
        visits: float,
    ) -> Tensor:
        intercept, slope = self._penalty(beta, validation)
        gradient = 0.5 * beta * margin
        if self.solver == 'implicit':
            # Backward Euler in the penalty: stable for every eta, lam > 0.
            free, pull = alpha + self.eta * gradient, self.eta * self.lam
            bound = (free + pull * intercept) / (1.0 + pull * slope)
            return torch.where(intercept - slope * free >= 0, free, bound)
        if self.solver == 'released':
            # The official script divides the gradient by its beta (half of the paper's)
            # where the formula multiplies.
            gradient = margin / (0.5 * beta)
        penalty = (intercept - slope * alpha).clamp_max(0.0)
        return alpha + self.eta * (gradient + self.lam * penalty)

    def max_level(self, beta: float) -> float:
        """See :meth:`Rule.max_level`; the released code allows higher levels."""
        return 1.0 / beta if self.solver == 'released' else super().max_level(beta)

    def _clip(self, levels: Tensor, beta: float) -> Tensor:
        if self.solver != 'released':
            return super()._clip(levels, beta)
        limit = 1.0 / beta
        return torch.where(levels >= limit, limit - 0.01, levels).clamp_min(0.0)


@dataclass(frozen=True)
class MC(PenaltyRule):
    r"""Model calibration: the target's expected confidence meets the accuracy.

    :class:`PenaltyRule` with the penalty :math:`\min(0, 1 - \beta \alpha_i / 2 - A)`,
    where A is the accuracy on the validation set.
    """

    name = 'MC'

    def _penalty(self, beta: float, validation: Validation) -> tuple[float, float]:
        return 1.0 - validation.accuracy, 0.5 * beta

    def instability_warning(self, beta: float) -> str | None:
        """See :class:`Rule`: explicit steps oscillate from eta lam beta / 2 = 2 on."""
        limit = 4 / (self.eta * beta)
        if self.solver == 'implicit' or self.lam < limit:
            return None
        return (
            f'solver={self.solver!r} is not stable at lam {self.lam:g}: the levels '
            f"will oscillate; take lam below {limit:g}, or solver='implicit'"
        )


@dataclass(frozen=True)
class ME(PenaltyRule):
    r"""Maximum entropy: the levels rise while the accuracy keeps its landmark.

    :class:`PenaltyRule` with the penalty :math:`\min(0, A - A_{lm})`, where A is the
    accuracy on the validation set.

    Args:
        landmark (str | float): ``'best'``: the best accuracy so far; ``'warmup'``: that
            at the end of warm-up; or a number in [0, 1]. Defaults to 'best'.
    """

    name = 'ME'
    landmark: str | float = 'best'

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.landmark, str):
            check_choice('landmark', self.landmark, ('best', 'warmup'))
        else:
            hint = " (or 'best' or 'warmup')"
            check_number('landmark', self.landmark, at_least=0, at_most=1, hint=hint)

    def next_landmark(
        self, landmark: float | None, accuracy: float, warming_up: bool
    ) -> float | None:
        """See :meth:`Rule.next_landmark`."""
        if not isinstance(self.landmark, str):
            return float(self.landmark)
        if landmark is None:
            return accuracy
        if self.landmark == 'best':
            return max(accuracy, landmark)
        return accuracy if warming_up else landmark

    def _penalty(self, beta: float, validation: Validation) -> tuple[float, float]:
        what = 'the accuracy to be kept, in [0, 1]'
        landmark = self._require(validation, 'landmark', what)
        return validation.accuracy - landmark, 0.0
