"""A fitted calibrator: apply it to maps or logits, put it into a module, keep it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from .cells import LIMIT
from .lookup import map_logits, segments
from .maps import Knots
from .tables import as_logits, as_tensor

if TYPE_CHECKING:
    from .module import CalibratedModule

__all__ = ['Calibrator']

Maps = TypeVar('Maps', Tensor, np.ndarray)
# Pixels at a time: the temporaries stay in the cache.
_CHUNK = 2**17


@dataclass(frozen=True)
class Calibrator:
    """Calibrated probabilities for the probabilities or logits of one network.

    :func:`~mmaslp.core.calibrators.fit_calibrator` makes it.

    Args:
        method (str): 'identity', 'temperature', 'affine' or 'isotonic'.
        by (str): 'single' or 'band': one map, or one for each band of distance from the
            border of the predicted mask.
        target (str): 'confidence': every decision p > 1/2 stays, and with it the mask;
            or 'probability': p becomes the probability of label 1.
        maps (list): Knots of each map, see :mod:`~mmaslp.core.calibrators.maps`.
        record (dict): What the fit says of itself: numbers of images and pixels,
            candidates and remarks; plain values.

    Example:
        >>> calibrator = Calibrator('temperature', 'single', 'confidence',
        ...                         [([0.0, 10.0], [0.0, 5.0])])
        >>> calibrator(torch.tensor([[0.5, 0.9]]))  # 0.9 has the odds 9, its root is 3
        tensor([[0.5000, 0.7500]])
    """

    method: str
    by: str
    target: str
    maps: Sequence[Knots]
    record: dict[str, Any] = field(default_factory=dict)

    def __call__(self, prob: Maps) -> Maps:
        """Calibrate probabilities.

        Args:
            prob (Tensor | np.ndarray): ``(H, W)``, ``(N, H, W)``, ``(N, 1, H, W)``,
                ``(N, C, H, W)`` of C binary channels or ``(N, C, D, H, W)`` of slices;
                floating point in [0, 1], whole images as they were fitted.

        Returns:
            Tensor | np.ndarray: A new one of the same kind, shape and dtype; half
            precision becomes float32.

        Raises:
            ValueError: It holds nan or values outside [0, 1].
        """
        return self._apply(prob, logits=False)

    def logits(self, logit: Maps) -> Maps:
        """Calibrate logits of the positive class.

        Args:
            logit (Tensor | np.ndarray): Floating point; shapes as of probabilities.

        Returns:
            Tensor | np.ndarray: As for probabilities.

        Raises:
            ValueError: It holds nan.
        """
        return self._apply(logit, logits=True)

    def wrap(self, module: nn.Module, independent: bool = False) -> CalibratedModule:
        """Return a module that gives calibrated logits; see ``CalibratedModule``.

        Args:
            module (nn.Module): Gives logits ``(N, 1, H, W)`` or ``(N, H, W)``; or
                ``(N, 2, H, W)`` of background and foreground.
            independent (bool): Whether channels are independent binary ones, also if
                there are two. Defaults to False.
        """
        from .module import CalibratedModule

        return CalibratedModule(module, self, independent)

    def save(self, file: str | Path) -> None:
        """Write it as JSON.

        Args:
            file (str | Path): Where to; its folder has to exist.
        """
        from .file import write

        write(self, file)

    @classmethod
    def load(cls, file: str | Path) -> Calibrator:
        """Read what :meth:`save` wrote.

        Args:
            file (str | Path): The file.

        Raises:
            ValueError: It is no such file, or was edited into something impossible.
        """
        from .file import read

        return cls(**read(file))

    def summary(self) -> str:
        """Describe what was chosen, and why, as text: a table of the candidates."""
        from .summary import as_text

        return as_text(self)

    @cached_property
    def table(self) -> Tensor:
        """``(2, B, S)`` float64 segments of the maps."""
        return torch.from_numpy(segments(self.maps, self.target))

    def _apply(self, given: Maps, logits: bool) -> Maps:
        values = as_tensor(given)
        if values.dim() < 2:
            raise ValueError(f'a map must be (..., H, W), not {tuple(values.shape)}')
        found = as_logits(values, None, logits)
        if self.method == 'identity':
            found = values.clone().view_as(found)
        else:
            table = self.table.to(found)
            size = max(_CHUNK // max(found[0].numel(), 1), 1)
            found = torch.cat([self._part(x, table, logits) for x in found.split(size)])
        found = found.view(values.shape)
        return found.numpy() if isinstance(given, np.ndarray) else found

    def _part(self, logit: Tensor, table: Tensor, logits: bool) -> Tensor:
        if logits:
            return map_logits(logit, table)
        return map_logits(logit.clamp(-LIMIT, LIMIT), table).sigmoid_()
