"""Levels by region: one per band of distance from the border."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..regions import BORDER_EDGES
from ..validation import check_number
from .rules import Measured, Rule
from .rules.fb import MAX_TEMPERATURE

__all__ = ['RegionLevels', 'check_regions']


class RegionLevels:
    """The levels of the bands and the training temperature, which a rule moves.

    Args:
        level (float): Level that every band starts with, in [0, 1].

    Attributes:
        profile (Tensor): Levels of the bands, ``(B,)``, float64, the first at the
            border; moved in place.
        temperature (Tensor): Training temperature T >= 1, scalar, float64; moved in
            place.
    """

    def __init__(self, level: float) -> None:
        bands = len(BORDER_EDGES) + 1
        self.profile = torch.full((bands,), level, dtype=torch.float64)
        self.temperature = torch.ones((), dtype=torch.float64)

    def check_measured(
        self, gaps: Sequence[float] | None, shares: Sequence[float] | None
    ) -> None:
        """Refuse what a validation cannot have measured.

        Args:
            gaps (Sequence[float], optional): Signed gap of each band, ``(B,)``, in
                [-1, 1] or nan.
            shares (Sequence[float], optional): Share of the pixels of each band,
                ``(B,)``, in [0, 1]; may be missing.

        Raises:
            ValueError: If the gaps are missing, or there are other numbers.
        """
        bands = len(self.profile)
        for name, values, low in (
            ('region_gap', gaps, -1.0),
            ('region_share', shares, 0.0),
        ):
            if values is None and name == 'region_share':
                continue
            numbers = [] if values is None else [*map(float, values)]
            if len(numbers) != bands or any(v < low or v > 1.0 for v in numbers):
                raise ValueError(
                    f'levels by region need {name} of the validation, {bands} numbers '
                    f'in [{low:g}, 1], got {values}: give region_gap and region_share '
                    "as RegionTable.compute()['predicted'] has them ('gap', 'share')"
                )

    def step(self, rule: Rule, beta: float, measured: Measured) -> None:
        """Move the levels and the temperature after a validation."""
        before, temperature = self.profile.clone(), self.temperature.item()
        self.profile.copy_(rule.step_profile(before, beta=beta, measured=measured))
        self.temperature.fill_(
            rule.step_temperature(temperature, before, measured=measured)
        )

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

    def check_saved(self, state: dict[str, Any]) -> tuple[Tensor, float]:
        """Profile and temperature of a state, to be given to :meth:`restore`.

        Raises:
            ValueError: If they are out of their range.
        """
        profile = state['profile'].cpu().double()
        inside = ((profile >= 0) & (profile <= 1)).all()
        if profile.shape != self.profile.shape or not inside:
            raise ValueError(f'its profile is {profile.tolist()}')
        # States of version 2 have no temperature: theirs was 1.
        saved = float(state.get('temperature', 1.0))
        return profile, check_number('temperature', saved, at_least=1)

    def restore(self, profile: Tensor, temperature: float) -> None:
        """Take over what :meth:`check_saved` has returned."""
        self.profile.copy_(profile)
        self.temperature.fill_(temperature)


def check_regions(regions: str | None, rule: Rule) -> str | None:
    """Check the choice of regions against the rule.

    Args:
        regions (str, optional): ``'border'`` or None.
        rule (Rule): The rule that is to move the levels.

    Returns:
        str | None: ``regions``.

    Raises:
        ValueError: If it is something else, the rule has no levels by region, or it
            has an option that only they use.
    """
    if regions is None:
        limit = rule.settings().get('max_temperature', MAX_TEMPERATURE)
        if limit != MAX_TEMPERATURE:
            raise ValueError(
                f'max_temperature={limit:g} is for levels by region: add '
                "regions='border', or leave it out"
            )
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
