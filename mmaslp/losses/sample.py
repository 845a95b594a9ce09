"""The sample of one iteration: the levels tell it to the losses, and they answer."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor


@dataclass(eq=False)
class Sample:
    """Which images of a batch get a perturbed label, for every loss of the model.

    A loss reads the sample and calls :meth:`record`; :class:`ImageLevels` read
    :attr:`margin`.
    """

    alpha: Tensor  # levels of the images, (N,), float32
    perturbed: Tensor  # outcome of the draws, (N,), bool
    keys: np.ndarray  # of the noise per pixel, (N,), uint64
    rows: np.ndarray | None = None  # of the images in the bank, (N,), int64
    beta: float | None = None  # strength that the levels belong to
    step: int | None = None
    _total: Tensor | None = field(default=None, init=False, repr=False)
    _weight: float = field(default=0.0, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.alpha)

    def record(self, margin: Tensor, weight: float = 1.0) -> None:
        """Add the margins ``(N,)`` of one call of a loss of some weight."""
        weight = abs(float(weight)) or 1e-12
        total = margin.float() * weight
        self._total = total if self._total is None else self._total + total
        self._weight += weight

    @property
    def margin(self) -> Tensor | None:
        """Tensor | None: Mean margins ``(N,)``, by the weights; None without a loss."""
        return None if self._total is None else self._total / self._weight


def independent_sample(alpha: float, num_images: int) -> Sample:
    """Draw from torch's global generator, for a loss without :class:`ImageLevels`."""
    levels = torch.full((num_images,), alpha)
    keys = torch.randint(-(2**63), 2**63 - 1, (num_images,), dtype=torch.int64)
    return Sample(
        alpha=levels,
        perturbed=torch.rand(num_images) < levels,
        keys=keys.numpy().view(np.uint64),
    )
