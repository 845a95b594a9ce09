"""What the hook tells the losses about a batch, and what they tell it back."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ['BatchDraw', 'BatchState', 'plain_draw']


@dataclass(frozen=True)
class BatchDraw:
    """The draw of one iteration, shared by every loss of the model.

    Attributes:
        alpha (Tensor): Levels of the images of the batch, ``(N,)``, float32.
        perturbed (Tensor): Outcome Z of the Bernoulli draw, ``(N,)``, bool.
        keys (np.ndarray): Keys for noise per pixel, ``(N,)``, uint64.
    """

    alpha: Tensor
    perturbed: Tensor
    keys: np.ndarray


class BatchState:
    """Shared between one hook and all losses of a model during one iteration.

    The hook calls :meth:`begin` and :meth:`end`; a loss reads :attr:`draw` and calls
    :meth:`record`.
    """

    def __init__(self):
        self._draw = None
        self._total = None
        self._weight = 0.0

    @property
    def draw(self) -> BatchDraw | None:
        """BatchDraw | None: The current draw; None outside of an iteration."""
        return self._draw

    def begin(self, draw: BatchDraw) -> None:
        """Publish the draw of a new iteration and forget the margins of the last."""
        self._draw, self._total, self._weight = draw, None, 0.0

    def record(self, margin: Tensor, weight: float = 1.0) -> None:
        """Add the margins that one call of a loss has seen.

        Args:
            margin (Tensor): ``(N,)``, detached, any device.
            weight (float): Weight of this loss in the objective. Defaults to 1.
        """
        weight = abs(float(weight)) or 1e-12
        total = margin.float() * weight
        self._total = total if self._total is None else self._total + total
        self._weight += weight

    def end(self) -> Tensor | None:
        """Close the iteration.

        Returns:
            Tensor | None: Mean of the recorded margins, weighted by the weights of the
            losses, ``(N,)``, float32; None if no loss was called.
        """
        margin = None if self._total is None else self._total / self._weight
        self._draw, self._total, self._weight = None, None, 0.0
        return margin


def plain_draw(alpha: float, num_images: int) -> BatchDraw:
    """Draw from torch's global generator, for a loss that no hook manages.

    Args:
        alpha (float): Level of every image, in [0, 1].
        num_images (int): N.
    """
    levels = torch.full((num_images,), alpha)
    keys = torch.randint(-(2**63), 2**63 - 1, (num_images,), dtype=torch.int64)
    return BatchDraw(
        alpha=levels,
        perturbed=torch.rand(num_images) < levels,
        keys=keys.numpy().view(np.uint64),
    )
