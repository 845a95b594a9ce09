"""Maximum entropy, the paper's second rule."""

from dataclasses import dataclass

from ...argument_checks import check_choice, check_number
from .base import Measured
from .penalty import PenaltyRule

__all__ = ['ME']


@dataclass(frozen=True)
class ME(PenaltyRule):
    r"""Maximum entropy: the levels rise while the accuracy keeps its landmark.

    :class:`PenaltyRule` with the penalty :math:`\min(0, A - A_{lm})`, where A is the
    accuracy on the validation set and :math:`A_{lm}` its landmark. :class:`PenaltyRule`
    lists the other options.

    Args:
        landmark (str | float): ``'best'``: the best accuracy so far; ``'warmup'``: that
            at the end of warm-up; or a number in [0, 1]. Defaults to 'best'.

    Source: Liu et al., `Model Calibration in Dense Classification with Adaptive Label
    Perturbation <https://arxiv.org/abs/2307.13539>`_, Eq. 5.
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

    def _penalty(self, beta: float, measured: Measured) -> tuple[float, float]:
        landmark = self._require(
            measured, 'landmark', 'the accuracy to be kept, in [0, 1]'
        )
        return measured.accuracy - landmark, 0.0
