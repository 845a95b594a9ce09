"""Levels by region: one per band of distance from the border."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..bands import BORDER_EDGES
from .rules import Measured, Rule

__all__ = ['RegionLevels', 'check_regions']


class RegionLevels:
    """The levels of the bands, which a rule moves.

    Args:
        level (float): Level that every band starts with, in [0, 1].

    Attributes:
        profile (Tensor): Levels of the bands, ``(B,)``, float64, the first at the
            border; moved in place.
    """

    def __init__(self, level: float) -> None:
        bands = len(BORDER_EDGES) + 1
        self.profile = torch.full((bands,), level, dtype=torch.float64)

    def check_measured(
        self,
        gaps: Sequence[float] | None,
        shares: Sequence[float] | None = None,
        accuracies: Sequence[float] | None = None,
    ) -> None:
        """Refuse what a validation cannot have measured.

        Args:
            gaps (Sequence[float], optional): Signed gap of each band, ``(B,)``, in
                [-1, 1] or nan.
            shares (Sequence[float], optional): Share of the pixels of each band,
                ``(B,)``, in [0, 1]; may be missing.
            accuracies (Sequence[float], optional): Accuracy in each band, ``(B,)``, in
                [0, 1] or nan; may be missing.

        Raises:
            ValueError: If the gaps are missing, or there are other numbers.
        """
        bands = len(self.profile)
        for name, values, low in (
            ('region_gap', gaps, -1.0),
            ('region_share', shares, 0.0),
            ('region_accuracy', accuracies, 0.0),
        ):
            if values is None and name != 'region_gap':
                continue
            numbers = [] if values is None else [*map(float, values)]
            if len(numbers) != bands or any(v < low or v > 1.0 for v in numbers):
                raise ValueError(
                    f'levels by region need {name} of the validation, {bands} numbers '
                    f'in [{low:g}, 1], got {values}: give a BandTable of the '
                    'validation, observe(table), or what its measured() returns'
                )

    def step(self, rule: Rule, beta: float, measured: Measured) -> None:
        """Move the levels after a validation."""
        self.profile.copy_(
            rule.step_profile(self.profile, beta=beta, measured=measured)
        )

    def under_confident(
        self, measured: Measured, least: float = 0.01
    ) -> dict[int, float]:
        """Bands that levels cannot help: a level only lowers the confidence.

        Args:
            measured (Measured): What the last validation measured, by region too.
            least (float): Size of a gap that is worth a word. Defaults to 0.01.

        Returns:
            dict[int, float]: Signed gap of each band at level 0 whose gap is below
            ``-least``.
        """
        gaps = measured.region_gaps[-1] if measured.region_gaps else ()
        levels = self.profile.tolist()
        return {
            band: gap
            for band, (gap, level) in enumerate(zip(gaps, levels))
            if gap < -least and level == 0.0
        }

    def with_mean(self, share: Sequence[float] | None) -> Tensor:
        """Levels of the bands, and the mean one for labels without a border.

        Args:
            share (Sequence[float], optional): Share of the pixels of each band; None
                for equal shares.

        Returns:
            Tensor: ``(B + 1,)``, float64.
        """
        if share is None:
            mean = self.profile.mean()
        else:
            mean = self.profile @ torch.tensor(share, dtype=torch.float64)
        return torch.cat([self.profile, mean[None]])

    def check_saved(self, state: dict[str, Any]) -> Tensor:
        """Profile of a state, float64, on the CPU.

        Raises:
            ValueError: If it has another shape or a level outside [0, 1].
        """
        profile = state['profile'].cpu().double()
        inside = ((profile >= 0) & (profile <= 1)).all()
        if profile.shape != self.profile.shape or not inside:
            raise ValueError(f'its profile is {profile.tolist()}')
        return profile


def check_regions(regions: str | None, rule: Rule) -> str | None:
    """Check the choice of regions against the rule.

    Args:
        regions (str, optional): ``'border'`` or None.
        rule (Rule): The rule that is to move the levels.

    Returns:
        str | None: ``regions``.

    Raises:
        ValueError: If it is something else, the rule has no levels by region, or takes
            another gap than the mean one.
    """
    if regions is None:
        return None
    if regions != 'border':
        raise ValueError(f"regions must be 'border' or None, got {regions!r}")
    if not rule.by_region:
        raise ValueError(
            f'regions={regions!r} needs a rule that moves levels by region (FB), not '
            f'{rule.name}'
        )
    if rule.settings().get('gap', 'mean') != 'mean':
        raise ValueError(
            f'regions={regions!r} takes the mean gap of each band: leave gap out'
        )
    return regions
