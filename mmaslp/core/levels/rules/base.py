"""The base class of the rules, and the rule that moves nothing."""

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from torch import Tensor

from ...argument_checks import check_number, optional
from ..perturbation import check_beta, max_alpha

__all__ = ['Fixed', 'Rule', 'Validation']


@dataclass(frozen=True)
class Validation:
    """What the last validation measured.

    Attributes:
        accuracy (float): Pixel accuracy, in [0, 1].
        confidence (float, optional): Mean confidence, in [0, 1].
        median_gap (float, optional): Confidence - accuracy of the median pixel, in
            [-1, 1].
        landmark (float, optional): Accuracy that ``'ME'`` keeps, in [0, 1].

    Raises:
        ValueError: If a value is out of its range.
    """

    accuracy: float
    confidence: float | None = None
    median_gap: float | None = None
    landmark: float | None = None

    def __post_init__(self) -> None:
        hint = ' (a fraction, not per cent)'
        check_number('accuracy', self.accuracy, at_least=0, at_most=1, hint=hint)
        for name, low in (('confidence', 0), ('landmark', 0), ('median_gap', -1)):
            value = getattr(self, name)
            optional(check_number, name, value, at_least=low, at_most=1, hint=hint)


class Rule(ABC):
    """Moves the levels of the images of a batch.

    A subclass is a frozen dataclass whose fields are the options of the rule. It
    implements :meth:`_step`.

    Attributes:
        name (str): How configs and states call the rule.
        learns (bool): Whether the rule moves levels at all.
        required_field (str | None): Field of :class:`Validation` that the rule reads
            besides the accuracy.
    """

    name: ClassVar[str]
    learns: ClassVar[bool] = True
    required_field: str | None = None

    @classmethod
    def options(cls) -> list[str]:
        """Names of the options."""
        return [field.name for field in fields(cls)]  # type: ignore[arg-type]

    def settings(self) -> dict[str, Any]:
        """Name and options, as plain values for a checkpoint."""
        return {'rule': self.name, **asdict(self)}  # type: ignore[call-overload]

    def next_landmark(
        self, landmark: float | None, accuracy: float, warming_up: bool
    ) -> float | None:
        """Landmark after a validation; None for rules without one."""
        return None

    def max_level(self, beta: float) -> float:
        """Highest level that the rule gives at strength ``beta``."""
        return max_alpha(beta)

    def instability_warning(self, beta: float) -> str | None:
        """Why the levels will oscillate; None if they do not."""
        return None

    def step(
        self,
        alpha: Tensor,
        margin: Tensor,
        *,
        beta: float,
        validation: Validation,
        visits: float = 1.0,
    ) -> Tensor:
        """Move the levels of the images of one batch.

        Args:
            alpha (Tensor): Levels, ``(N,)``, floating, in [0, 1].
            margin (Tensor): Margins of the same images
                (:func:`~mmaslp.core.image_margin`), ``(N,)``.
            beta (float): The paper's strength, in (0, 2].
            validation (Validation): What the last validation measured.
            visits (float): Visits of an image between two validations, > 0. Defaults
                to 1.

        Returns:
            Tensor: New levels, ``(N,)``, in the dtype of ``alpha`` (computed in
            float64), within 0 and :meth:`max_level`.

        Raises:
            ValueError: If an argument is out of its range, a shape differs, a value is
                not finite, or ``validation`` lacks what the rule needs.
        """
        beta = check_beta(beta)
        if alpha.shape != margin.shape or alpha.dim() != 1:
            raise ValueError(
                'alpha and margin must both have the shape (N,), got '
                f'{tuple(alpha.shape)} and {tuple(margin.shape)}'
            )
        check_number('visits', visits, above=0)
        stepped = self._step(alpha.double(), margin.double(), beta, validation, visits)
        if not math.isfinite(stepped.sum()):  # levels are small: finite if all are
            raise ValueError(
                'alpha or margin holds a value that is not finite: leave images with '
                'nan logits out of the update'
            )
        return self._clip(stepped, beta).to(alpha.dtype)

    @abstractmethod
    def _step(
        self,
        alpha: Tensor,
        margin: Tensor,
        beta: float,
        validation: Validation,
        visits: float,
    ) -> Tensor:
        """Levels before they are clipped, ``(N,)``, float64."""

    def _clip(self, levels: Tensor, beta: float) -> Tensor:
        return levels.clamp_(0.0, self.max_level(beta))

    def _require(self, validation: Validation, name: str, what: str) -> float:
        value = getattr(validation, name)
        if value is None:
            raise ValueError(f'rule={self.name!r} needs {name}, {what}')
        return float(value)


@dataclass(frozen=True)
class Fixed(Rule):
    """Every image keeps its first level: stochastic label perturbation (SLP)."""

    name = 'fixed'
    learns = False

    def _step(self, alpha: Tensor, *_: Any) -> Tensor:  # type: ignore[override]
        return alpha.clone()
