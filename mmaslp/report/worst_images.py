"""The images of an evaluation with the largest error, in bounded memory."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor


class WorstImages:
    """Keep the images with the largest error; those without any error do not count.

    Args:
        size (int): How many to keep; 0 keeps none.
        key (str): The metric that decides. Defaults to 'oe', the over-confidence error.

    Attributes:
        items (list[dict]): Worst first: ``name``, ``index``, ``metrics`` (by name),
            ``prob`` ``(H, W)`` uint16 in units of 1 / 65535 and ``label`` ``(H, W)``
            uint8.
    """

    def __init__(self, size: int, key: str = 'oe') -> None:
        self.size = size
        self.key = key
        self.items: list[dict[str, Any]] = []

    def push(
        self,
        name: str,
        index: int,
        metrics: dict[str, float],
        prob: Tensor | np.ndarray,
        label: Tensor | np.ndarray,
    ) -> None:
        """Offer one image.

        Args:
            name (str): Path of the image.
            index (int): Its position in this process.
            metrics (dict[str, float]): Its metrics, with ``key``; nan is left out.
            prob (Tensor | np.ndarray): ``(H, W)`` probabilities.
            label (Tensor | np.ndarray): ``(H, W)`` labels.
        """
        error = metrics[self.key]
        full = self.size and len(self.items) >= self.size
        least = self.items[-1]['metrics'][self.key] if full else 0
        if not self.size or not error > least:
            return
        prob, label = (
            each.cpu().numpy() if isinstance(each, Tensor) else each
            for each in (prob, label)
        )
        self.extend(
            [
                {
                    'name': name,
                    'index': index,
                    'metrics': metrics,
                    'prob': np.rint(prob * 65535).astype(np.uint16),
                    'label': label.astype(np.uint8),
                }
            ]
        )

    def extend(self, items: Sequence[dict[str, Any]]) -> None:
        """Join the items of another list; the name decides ties."""
        self.items = sorted(
            [*self.items, *items],
            key=lambda item: (-item['metrics'][self.key], item['name']),
        )[: self.size]

    def drop_after(self, kept: int) -> None:
        """Forget images whose index is ``kept`` or above."""
        self.items = [item for item in self.items if item['index'] < kept]
