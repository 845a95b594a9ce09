"""Rules that balance the gradient of the expected loss by a penalty; their solvers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...argument_checks import check_choice, check_number
from .base import Measured, Rule

__all__ = ['SOLVERS', 'PenaltyRule']

_Penalty = tuple[float, float]  # intercept and slope


@dataclass(frozen=True)
class PenaltyRule(Rule):
    r"""A rule of the paper: the gradient of the expected loss, balanced by a penalty.

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
    """

    eta: float = 0.002
    lam: float = 2000.0
    solver: str = 'implicit'

    def __post_init__(self) -> None:
        check_number('eta', self.eta, above=0)
        check_number('lam', self.lam, at_least=0)
        check_choice('solver', self.solver, tuple(SOLVERS))

    @abstractmethod
    def _penalty(self, beta: float, measured: Measured) -> _Penalty:
        """Intercept and slope of the penalty."""

    def _step(
        self,
        alpha: Tensor,
        margin: Tensor,
        beta: float,
        measured: Measured,
        visits: float,
    ) -> Tensor:
        penalty = self._penalty(beta, measured)
        return SOLVERS[self.solver](self, alpha, margin, beta, penalty)

    def max_level(self, beta: float) -> float:
        """See :meth:`Rule.max_level`; the released code allows higher levels."""
        return 1.0 / beta if self.solver == 'released' else super().max_level(beta)

    def _clip(self, levels: Tensor, beta: float) -> Tensor:
        if self.solver != 'released':
            return super()._clip(levels, beta)
        limit = 1.0 / beta
        return torch.where(levels >= limit, limit - 0.01, levels).clamp_min(0.0)


def _implicit(
    rule: PenaltyRule, alpha: Tensor, margin: Tensor, beta: float, penalty: _Penalty
) -> Tensor:
    # Backward Euler in the penalty: stable for every eta, lam > 0.
    intercept, slope = penalty
    eta, lam = rule.eta, rule.lam
    free = alpha + eta * 0.5 * beta * margin
    bound = (free + eta * lam * intercept) / (1.0 + eta * lam * slope)
    return torch.where(intercept - slope * free >= 0, free, bound)


def _explicit(
    rule: PenaltyRule, alpha: Tensor, margin: Tensor, beta: float, penalty: _Penalty
) -> Tensor:
    intercept, slope = penalty
    reg = (intercept - slope * alpha).clamp_max(0.0)
    return alpha + rule.eta * (0.5 * beta * margin + rule.lam * reg)


def _released(
    rule: PenaltyRule, alpha: Tensor, margin: Tensor, beta: float, penalty: _Penalty
) -> Tensor:
    # The official script divides the gradient by its beta (half of the paper's) where
    # the formula multiplies.
    intercept, slope = penalty
    reg = (intercept - slope * alpha).clamp_max(0.0)
    return alpha + rule.eta * (margin / (0.5 * beta) + rule.lam * reg)


SOLVERS: dict[str, Callable[[PenaltyRule, Tensor, Tensor, float, _Penalty], Tensor]] = {
    'implicit': _implicit,
    'explicit': _explicit,
    'released': _released,
}
