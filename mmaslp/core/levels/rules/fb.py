"""Feedback, our rule for levels by image."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...argument_checks import check_choice, check_number
from .base import Rule, Validation

__all__ = ['FB']


@dataclass(frozen=True)
class FB(Rule):
    r"""Feedback: the network's own confidence meets its accuracy.

    With the gap g that the last validation measured and the gain k,

    .. math:: \alpha_i \leftarrow \mathrm{clip}(\alpha_i + \frac{k}{V}
              \frac{2}{\beta}\, g\, w_i, 0, \alpha_{max})

    where V is the number of visits of an image between two validations. The weights
    :math:`w_i` have a mean of 1 over the images given. They are proportional to the
    positive part of the margin while g > 0, and to the level while g < 0. From one
    validation to the next, the mean target confidence moves by -k g. It moves by less
    if levels meet their limits or no image given has a margin (a level) above 0. If the
    network follows with a first-order lag, the loop is stable for 0 < k < 1. The
    implicit solver uses k / (1 + k), which is in that range for every k > 0.

    Args:
        gain (float): k, > 0. Defaults to 1.
        gap (str): The gap that the rule brings to 0: the ``'mean'`` confidence minus
            the accuracy, or the ``'median'`` over pixels of the gap of their confidence
            bin. Defaults to 'mean'.
        solver (str): 'implicit' or 'explicit'. Defaults to 'implicit'.

    Raises:
        ValueError: If an option is out of its range.

    Source: ours; docs/rules.md derives it.
    """

    name = 'FB'
    gain: float = 1.0
    gap: str = 'mean'
    solver: str = 'implicit'

    def __post_init__(self) -> None:
        check_number('gain', self.gain, above=0)
        check_choice('gap', self.gap, ('mean', 'median'))
        check_choice('solver', self.solver, ('implicit', 'explicit'))

    @property
    def required_field(self) -> str:  # type: ignore[override]
        """Confidence, or the median gap."""
        return 'confidence' if self.gap == 'mean' else 'median_gap'

    def instability_warning(self, beta: float) -> str | None:
        """See :class:`Rule`: explicit steps oscillate from a gain of 1 on."""
        if self.solver == 'implicit' or self.gain < 1.0:
            return None
        return (
            f'solver={self.solver!r} is not stable at gain {self.gain:g}: the levels '
            "will oscillate; take a gain below 1, or solver='implicit'"
        )

    def _step(
        self,
        alpha: Tensor,
        margin: Tensor,
        beta: float,
        validation: Validation,
        visits: float,
    ) -> Tensor:
        gap = self._gap(validation)
        # Implicit: the gap that is left after the step, g' = g - beta / 2 * mean step.
        gain = self.gain / (1.0 + self.gain * (self.solver == 'implicit'))
        # Rising levels share the step by margin, falling ones by level. The shares of a
        # batch have a mean of 1, so the mean level moves by a known amount.
        share = _mean_one(margin.clamp_min(0.0) if gap > 0 else alpha)
        return alpha + gain / visits * (2.0 / beta) * gap * share

    def _gap(self, validation: Validation) -> float:
        if self.gap == 'median':
            what = 'of CalibrationHistogram.compute()'
            return self._require(validation, 'median_gap', what)
        confidence = self._require(validation, 'confidence', 'the mean one, in [0, 1]')
        return confidence - validation.accuracy


def _mean_one(weight: Tensor) -> Tensor:
    """Scale weights to a mean of 1; all 0 if none is above 0."""
    mean = weight.mean()
    return weight / mean if mean > 0 else torch.zeros_like(weight)
