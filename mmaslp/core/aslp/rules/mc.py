"""Model calibration, the paper's first rule."""

from dataclasses import dataclass

from .base import Measured
from .penalty import PenaltyRule

__all__ = ['MC']


@dataclass(frozen=True)
class MC(PenaltyRule):
    r"""Model calibration: the target's expected confidence meets the accuracy.

    :class:`PenaltyRule` with the penalty :math:`\min(0, 1 - \beta \alpha_i / 2 - A)`,
    where A is the accuracy on the validation set. :class:`PenaltyRule` lists the
    options.

    Source: Liu et al., `Model Calibration in Dense Classification with Adaptive Label
    Perturbation <https://arxiv.org/abs/2307.13539>`_, Eq. 6; the implicit solver is
    ours (docs/rules.md derives it).
    """

    name = 'MC'

    def _penalty(self, beta: float, measured: Measured) -> tuple[float, float]:
        return 1.0 - measured.accuracy, 0.5 * beta

    def instability(self, beta: float, by_region: bool = False) -> str:
        """See :meth:`Rule.instability`: explicit steps with eta lam beta / 2 >= 2."""
        limit = 4 / (self.eta * beta)
        if self.solver == 'implicit' or self.lam < limit:
            return ''
        return (
            f'solver={self.solver!r} is not stable at lam {self.lam:g}: the levels '
            f"will oscillate; take lam below {limit:g}, or solver='implicit'"
        )
