"""The rule that moves no level."""

from dataclasses import dataclass

from torch import Tensor

from .base import Measured, Rule

__all__ = ['Fixed']


@dataclass(frozen=True)
class Fixed(Rule):
    """Every image keeps its first level: stochastic label perturbation (SLP)."""

    name = 'fixed'
    learns = False

    def _step(
        self,
        alpha: Tensor,
        margin: Tensor,
        beta: float,
        measured: Measured,
        visits: float,
    ) -> Tensor:
        return alpha.clone()
