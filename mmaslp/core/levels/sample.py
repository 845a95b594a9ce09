"""The sample of one iteration: the levels tell it to the losses, and they answer."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

__all__ = ['Sample', 'independent_sample']


@dataclass(eq=False)
class Sample:
    """Which images of a batch get a perturbed label, for every loss of the model.

    A loss reads the sample and calls :meth:`record`; :class:`ImageLevels` reads
    :attr:`margin`.

    Attributes:
        alpha (Tensor): Levels of the images, ``(N,)``, float32.
        perturbed (Tensor): Outcome Z of the Bernoulli draws, ``(N,)``, bool.
        keys (np.ndarray): Keys for noise per pixel, ``(N,)``, uint64.
        rows (np.ndarray, optional): Rows of the images in the bank, ``(N,)``, int64;
            None without :class:`ImageLevels`, as the next two.
        beta (float, optional): Strength that the levels belong to, in (0, 2].
        step (int, optional): Iteration, >= 0.
        used (bool): Whether the levels were updated by it.
    """

    alpha: Tensor
    perturbed: Tensor
    keys: np.ndarray
    rows: np.ndarray | None = None
    beta: float | None = None
    step: int | None = None
    used: bool = False
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
        """Tensor | None: Mean of the recorded margins, weighted by the losses' weights.

        ``(N,)``, float32, on the device of the losses; None if no loss was called.
        """
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
