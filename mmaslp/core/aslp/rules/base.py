"""The base class of every learning rule."""

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...argument_checks import check_number, optional
from ..perturbation import check_beta, max_alpha

__all__ = ['Measured', 'Rule', 'mean_one']


@dataclass(frozen=True)
class Measured:
    """What the last validation measured.

    Attributes:
        accuracy (float): Pixel accuracy, in [0, 1].
        confidence (float, optional): Mean confidence, in [0, 1].
        median_gap (float, optional): Signed gap, confidence minus accuracy, of the
            median pixel, in [-1, 1].
        landmark (float, optional): Accuracy that ``'ME'`` keeps, in [0, 1].
        region_gaps (tuple[tuple[float, ...], ...]): Signed gap of each band of distance
            from the predicted border, in [-1, 1], nan for a band without pixels; of
            this validation last, of up to two before. Empty if not measured.
        region_share (tuple[float, ...], optional): Share of the pixels of each band, in
            [0, 1].
        region_accuracy (tuple[float, ...], optional): Accuracy in each band, in [0, 1],
            nan for a band without pixels.

    Raises:
        ValueError: If a value is out of its range.
    """

    accuracy: float
    confidence: float | None = None
    median_gap: float | None = None
    landmark: float | None = None
    region_gaps: tuple[tuple[float, ...], ...] = ()
    region_share: tuple[float, ...] | None = None
    region_accuracy: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        hint = ' (a fraction, not per cent)'
        check_number('accuracy', self.accuracy, at_least=0, at_most=1, hint=hint)
        for name, low in (('confidence', 0), ('landmark', 0), ('median_gap', -1)):
            value = getattr(self, name)
            optional(check_number, name, value, at_least=low, at_most=1, hint=hint)


class Rule(ABC):
    """Moves the levels of the images of a batch.

    A subclass is a frozen dataclass. Its fields are the options of the rule. It
    implements :meth:`_step`.

    Attributes:
        name (str): How configs and states call the rule.
        learns (bool): Whether the rule moves levels at all.
        by_region (bool): Whether it can move a profile of levels by region.
    """

    name: ClassVar[str]
    learns: ClassVar[bool] = True
    by_region: ClassVar[bool] = False

    @classmethod
    def options(cls) -> list[str]:
        """Names of the options."""
        return [field.name for field in fields(cls)]  # type: ignore[arg-type]

    def settings(self) -> dict[str, Any]:
        """Name and options, as plain values for a checkpoint."""
        return {'rule': self.name, **asdict(self)}  # type: ignore[call-overload]

    def default_warmup(self, regions: str | None) -> int | None:
        """Epochs before the levels begin to move, if nobody says.

        Args:
            regions (str, optional): That of the learner.

        Returns:
            int | None: 5, or 0 for a rule that moves nothing; None with ``regions``: a
            third of the training (``docs/rules.md``).
        """
        if regions is not None:
            return None
        return 5 if self.learns else 0

    @property
    def needs(self) -> str:
        """Other field of :class:`Measured` that the rule reads, or '' for none."""
        return ''

    def next_landmark(
        self, landmark: float | None, accuracy: float, warming_up: bool
    ) -> float | None:
        """Landmark after a validation; None for rules without one.

        Args:
            landmark (float, optional): The previous one, in [0, 1].
            accuracy (float): Of this validation, in [0, 1].
            warming_up (bool): Whether the levels do not move yet.
        """
        return None

    def max_level(self, beta: float) -> float:
        """Highest level that the rule gives at strength ``beta``."""
        return max_alpha(beta)

    def instability(self, beta: float, by_region: bool = False) -> str:
        """Say why the levels will oscillate; '' if they do not.

        Args:
            beta (float): The paper's strength, in (0, 2].
            by_region (bool): Whether the rule moves levels by region. Defaults to
                False.
        """
        return ''

    def step(
        self,
        alpha: Tensor,
        margin: Tensor,
        *,
        beta: float,
        measured: Measured,
        visits: float = 1.0,
    ) -> Tensor:
        """Move the levels of the images of one batch.

        Args:
            alpha (Tensor): Levels, ``(N,)``, floating, in [0, 1].
            margin (Tensor): Margins of the same images
                (:func:`~mmaslp.core.image_margin`), ``(N,)``.
            beta (float): The paper's strength, in (0, 2].
            measured (Measured): What the last validation measured.
            visits (float): Visits of an image between two validations, > 0. Defaults
                to 1.

        Returns:
            Tensor: New levels, ``(N,)``, in the dtype of ``alpha`` (computed in
            float64), within 0 and :meth:`max_level`.

        Raises:
            ValueError: If an argument is out of its range, a shape differs, a value is
                not finite, or ``measured`` lacks what the rule needs.
        """
        beta = check_beta(beta)
        if alpha.shape != margin.shape or alpha.dim() != 1:
            raise ValueError(
                'alpha and margin must both have the shape (N,), got '
                f'{tuple(alpha.shape)} and {tuple(margin.shape)}'
            )
        check_number('visits', visits, above=0)
        stepped = self._step(alpha.double(), margin.double(), beta, measured, visits)
        if not math.isfinite(stepped.sum()):  # levels are small: finite if all are
            raise ValueError(
                'alpha or margin holds a value that is not finite: leave images with '
                'nan logits out of the update'
            )
        return self._clip(stepped, beta).to(alpha.dtype)

    def step_profile(
        self, profile: Tensor, *, beta: float, measured: Measured
    ) -> Tensor:
        """Move the levels of the bands of distance from the border.

        Args:
            profile (Tensor): Levels, ``(B,)``, float64, in [0, 1].
            beta (float): The paper's strength, in (0, 2].
            measured (Measured): What the last validation measured, by region too.

        Returns:
            Tensor: New levels, ``(B,)``, within 0 and :meth:`max_level`.

        Raises:
            ValueError: If the rule has no levels by region, or ``measured`` lacks what
                it needs.
        """
        raise ValueError(f'rule={self.name!r} has no levels by region')

    @abstractmethod
    def _step(
        self,
        alpha: Tensor,
        margin: Tensor,
        beta: float,
        measured: Measured,
        visits: float,
    ) -> Tensor:
        """Levels before they are clipped, ``(N,)``, float64."""

    def _clip(self, levels: Tensor, beta: float) -> Tensor:
        return levels.clamp_(0.0, self.max_level(beta))

    def _require(self, measured: Measured, name: str, what: str) -> float:
        value = getattr(measured, name)
        if value is None:
            raise ValueError(f'rule={self.name!r} needs {name}, {what}')
        return float(value)


def mean_one(weight: Tensor) -> Tensor:
    """Scale weights to a mean of 1; all 0 if none is above 0."""
    mean = weight.mean()
    return weight / mean if mean > 0 else torch.zeros_like(weight)
