"""Feedback, our rule."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...argument_checks import check_choice, check_number
from .base import Measured, Rule, mean_one

__all__ = ['FB']

# Bands with a smaller share of the pixels have no gap of their own.
THIN = 0.01


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

    By region (``ASLP(regions='border')``) each band b of distance from the border has
    a level, which follows the gaps by region once per validation:

    .. math:: \alpha_b \leftarrow \mathrm{clip}(\alpha_b + \kappa \frac{2}{\beta}\,
              \frac{g_{b-1} + 2 g_b + g_{b+1}}{4}, 0, 2 (1 - A_b) / \beta)

    - :math:`g_b` is the median of the band's last three gaps, so that one validation of
      a network that has collapsed for a moment moves nothing. The median is late by a
      validation, so :math:`\kappa = k / (1 + 2 k)` stays below 1/2.
    - A predicted band holds pixels of the labels' bands beside it too, so that they
      take part of its gap. Bands with less than 1 % of the pixels share one gap with
      their neighbour.
    - At the upper limit, if it is below :math:`\alpha_{max}`, the expected confidence
      of the target is the accuracy :math:`A_b` measured in the band. Bands with less
      than 1 % of the pixels have no limit of their own.

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
    by_region = True
    gain: float = 1.0
    gap: str = 'mean'
    solver: str = 'implicit'

    def __post_init__(self) -> None:
        check_number('gain', self.gain, above=0)
        check_choice('gap', self.gap, ('mean', 'median'))
        check_choice('solver', self.solver, ('implicit', 'explicit'))

    @property
    def needs(self) -> str:
        """See :attr:`Rule.needs`."""
        return 'confidence' if self.gap == 'mean' else 'median_gap'

    def instability(self, beta: float, by_region: bool = False) -> str:
        """See :meth:`Rule.instability`: explicit gains from 1, by region from 0.5."""
        limit = 0.5 if by_region else 1.0
        if self.solver == 'implicit' or self.gain < limit:
            return ''
        return (
            f'solver={self.solver!r} is not stable at gain {self.gain:g}: the levels '
            f"will oscillate; take a gain below {limit:g}, or solver='implicit'"
        )

    def _step(
        self,
        alpha: Tensor,
        margin: Tensor,
        beta: float,
        measured: Measured,
        visits: float,
    ) -> Tensor:
        gap = self._measured_gap(measured)
        # Rising levels share the step by margin, falling ones by level. The shares of a
        # batch have a mean of 1, so the mean level moves by a known amount.
        share = mean_one(margin.clamp_min(0.0) if gap > 0 else alpha)
        return alpha + self._gain_of_step / visits * (2.0 / beta) * gap * share

    def step_profile(
        self, profile: Tensor, *, beta: float, measured: Measured
    ) -> Tensor:
        """See :meth:`Rule.step_profile`; a band without pixels has a gap of 0."""
        gap = _spread(_median_gaps(measured, len(profile)))
        stepped = profile + self._gain_by_region * (2.0 / beta) * gap
        limit = (2.0 / beta) * (1.0 - _accuracies(measured, len(profile)))
        return self._clip(torch.fmin(stepped, limit), beta)  # nan limits nothing

    @property
    def _gain_by_region(self) -> float:
        implicit = self.solver == 'implicit'
        return self.gain / (1.0 + 2.0 * self.gain) if implicit else self.gain

    @property
    def _gain_of_step(self) -> float:
        # Implicit: the gap that is left after the step, g' = g - beta / 2 * mean step.
        implicit = self.solver == 'implicit'
        return self.gain / (1.0 + self.gain) if implicit else self.gain

    def _measured_gap(self, measured: Measured) -> float:
        if self.gap == 'median':
            return self._require(
                measured, 'median_gap', 'of CalibrationHistogram.compute()'
            )
        confidence = self._require(measured, 'confidence', 'the mean one, in [0, 1]')
        return confidence - measured.accuracy


def _median_gaps(measured: Measured, bands: int) -> Tensor:
    """Gap of each band, ``(B,)``, float64: the median of the last three."""
    if not measured.region_gaps:
        raise ValueError(
            'levels by region need region_gap, the gap of each band, of the validation'
        )
    gaps = torch.tensor(measured.region_gaps, dtype=torch.float64).nan_to_num(0.0)
    if gaps.shape[1] != bands:
        raise ValueError(
            f'region_gap has {gaps.shape[1]} bands, the levels have {bands}'
        )
    gap = gaps.quantile(0.5, 0)  # of two gaps their mean
    if measured.region_share is None:
        return gap
    share = torch.tensor(measured.region_share, dtype=torch.float64)
    return _pool_thin_bands(gap, share)


def _spread(gap: Tensor) -> Tensor:
    """Half of each gap in its band, a quarter in each neighbour, ``(B,)``.

    A predicted band holds pixels of the labels' bands beside it too. The smallest
    eigenvalue is above 0, so that all gaps are 0 where the levels rest.
    """
    wide = torch.cat([gap[:1], gap, gap[-1:]])
    return 0.25 * wide[:-2] + 0.5 * gap + 0.25 * wide[2:]


def _accuracies(measured: Measured, bands: int) -> Tensor:
    """Accuracy in each band, ``(B,)``, float64; nan where it is not known.

    Thin bands have none: a network that predicts nothing for one validation has all
    pixels in the last band, whose accuracy must not wipe out the levels at the border.
    """
    if measured.region_accuracy is None:
        return torch.full((bands,), math.nan, dtype=torch.float64)
    accuracy = torch.tensor(measured.region_accuracy, dtype=torch.float64)
    if measured.region_share is None:
        return accuracy
    share = torch.tensor(measured.region_share, dtype=torch.float64)
    return accuracy.where(share >= THIN, math.nan)


def _pool_thin_bands(gap: Tensor, share: Tensor) -> Tensor:
    """Give neighbouring bands one gap until they hold 1 % of the pixels together."""
    groups: list[list[int]] = [[]]
    for band in range(len(gap)):
        groups[-1].append(band)
        if share[groups[-1]].sum() >= THIN:
            groups.append([])
    rest = groups.pop()
    if groups:
        groups[-1] += rest
    pooled = gap.clone()
    for group in groups:
        pooled[group] = (gap * share)[group].sum() / share[group].sum()
    return pooled
