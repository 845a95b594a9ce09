"""The draw of one iteration: the learner tells it to the losses, and they answer."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

__all__ = ['BatchDraw', 'DrawSlot', 'independent_draw']


@dataclass(eq=False)
class BatchDraw:
    """The draw of one iteration, shared by every loss of the model.

    A loss reads the draw and calls :meth:`record`; the learner reads :attr:`margin`.

    Attributes:
        alpha (Tensor): Levels of the images of the batch, ``(N,)``, float32.
        perturbed (Tensor): Outcome Z of the Bernoulli draw, ``(N,)``, bool; with levels
            by region ``(N, B + 1)``.
        keys (np.ndarray): Keys for noise per pixel, ``(N,)``, uint64.
        rows (np.ndarray, optional): Rows of the images in the learner's bank, ``(N,)``,
            int64; None without a learner.
        beta (float, optional): Strength that the levels belong to, in (0, 2]; None
            without a learner.
        step (int, optional): Iteration of the draw, >= 0; None without a learner.
        profile (Tensor, optional): Factor of the levels in each of the B bands of
            distance from the label's border, and in labels without a border, such as
            points, ``(B + 1,)``, float32; None for one level per image.
    """

    alpha: Tensor
    perturbed: Tensor
    keys: np.ndarray
    rows: np.ndarray | None = None
    beta: float | None = None
    step: int | None = None
    profile: Tensor | None = None
    _total: Tensor | None = field(default=None, init=False, repr=False)
    _weight: float = field(default=0.0, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.alpha)

    @property
    def levels(self) -> Tensor:
        """Tensor: Levels by image, ``(N,)``, or by image and band, ``(N, B + 1)``."""
        return self.alpha if self.profile is None else self.alpha.outer(self.profile)

    def record(self, margin: Tensor, weight: float = 1.0) -> None:
        """Add the margins of one call of a loss.

        Args:
            margin (Tensor): ``(N,)``, detached, any device.
            weight (float): Weight of this loss in the objective. Defaults to 1.
        """
        weight = abs(float(weight)) or 1e-12
        total = margin.float() * weight
        self._total = total if self._total is None else self._total + total
        self._weight += weight

    @property
    def margin(self) -> Tensor | None:
        """Tensor | None: Mean of the recorded margins, weighted by the losses' weights.

        ``(N,)``, float32, on the device of the losses; None if no loss was called.
        """
        return None if self._total is None else self._total / self._weight


class DrawSlot:
    """The place where a hook leaves the current draw: it cannot pass it to the losses.

    Attributes:
        draw (BatchDraw | None): The draw of this iteration; None outside of one.
    """

    def __init__(self) -> None:
        self.draw: BatchDraw | None = None

    def take(self) -> BatchDraw | None:
        """Return the draw and leave the place empty."""
        draw, self.draw = self.draw, None
        return draw


def independent_draw(alpha: float, num_images: int) -> BatchDraw:
    """Draw from torch's global generator, for a loss that no learner manages.

    Args:
        alpha (float): Level of every image, in [0, 1].
        num_images (int): N.

    Returns:
        BatchDraw: Without ``rows``, ``beta`` and ``step``.
    """
    levels = torch.full((num_images,), alpha)
    keys = torch.randint(-(2**63), 2**63 - 1, (num_images,), dtype=torch.int64)
    return BatchDraw(
        alpha=levels,
        perturbed=torch.rand(num_images) < levels,
        keys=keys.numpy().view(np.uint64),
    )
