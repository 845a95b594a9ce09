"""The images that a report shows: the worst both ways, and a sample."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import PurePath
from typing import Any

import numpy as np
from torch import Tensor

__all__ = ['REASONS', 'ShownImages', 'sample_rank']

# Why an image is shown; the key of its metrics that decides, the largest first.
REASONS = {'over': 'oe', 'under': 'ue', 'sample': 'sample'}


def sample_rank(stem: str) -> float:
    """Pseudo-random number of an image, in (0, 1]; the same for every model.

    The images of largest rank are a sample that does not depend on the order of the
    images, on the number of processes or on where the files lie.
    """
    digest = sha256(stem.encode(errors='surrogateescape')).digest()
    return (int.from_bytes(digest[:6], 'big') + 1) / 2**48


class ShownImages:
    """Keep the most over-confident, the most under-confident and some random images.

    Args:
        size (int): How many of each kind; 0 keeps none.

    Attributes:
        items (dict[str, list[dict]]): By reason, see :data:`REASONS`, the worst first:
            ``name``, ``index``, ``metrics`` (by name), ``prob`` ``(H, W)`` uint16 in
            units of 1 / 65535 and ``label`` ``(H, W)`` uint8. Images without any error
            do not count.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.items: dict[str, list[dict[str, Any]]] = {why: [] for why in REASONS}

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
            metrics (dict[str, float]): Its ``oe``, ``ue`` and others; nan of an image
                without valid pixels, which has nothing to show.
            prob (Tensor | np.ndarray): ``(H, W)`` probabilities.
            label (Tensor | np.ndarray): ``(H, W)`` labels.
        """
        rank = sample_rank(PurePath(name.replace('\\', '/')).stem)
        metrics = {**metrics, 'sample': rank if metrics['oe'] == metrics['oe'] else 0.0}
        item = None
        for why, key in REASONS.items():
            full = self.size and len(self.items[why]) >= self.size
            least = self.items[why][-1]['metrics'][key] if full else 0
            if self.size and metrics[key] > least:
                item = item or _item(name, index, metrics, prob, label)
                self.extend({why: [item]})

    def extend(self, items: dict[str, Sequence[dict[str, Any]]]) -> None:
        """Join items, such as those of another process; the name decides ties."""
        for why, own in items.items():
            key = REASONS[why]
            joined = [*self.items[why], *own]
            joined.sort(key=lambda item: (-item['metrics'][key], item['name']))
            self.items[why] = joined[: self.size]

    def drop_after(self, kept: int) -> None:
        """Forget images whose index is ``kept`` or above."""
        for why, own in self.items.items():
            self.items[why] = [item for item in own if item['index'] < kept]


def _item(
    name: str, index: int, metrics: dict[str, float], prob: Any, label: Any
) -> dict:
    prob, label = (
        each.cpu().numpy() if isinstance(each, Tensor) else each
        for each in (prob, label)
    )
    return {
        'name': name,
        'index': index,
        'metrics': metrics,
        'prob': np.rint(prob * 65535).astype(np.uint16),
        'label': label.astype(np.uint8),
    }
