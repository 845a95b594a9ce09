"""The images that a report shows: the worst both ways, and a sample."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from torch import Tensor

from .worst_images import WorstImages

__all__ = ['REASONS', 'ShownImages', 'sample_rank']

# Why an image is shown; the key of `WorstImages` that decides.
REASONS = {'over': 'oe', 'under': 'ue', 'sample': 'sample'}


def sample_rank(stem: str) -> float:
    """Pseudo-random number of an image, in (0, 1]; the same for every model.

    The images of largest rank are a sample that does not depend on the order of the
    images, on the number of processes or on where the files lie.

    Args:
        stem (str): File name without folder and suffix.
    """
    digest = sha256(stem.encode(errors='surrogateescape')).digest()
    return (int.from_bytes(digest[:6], 'big') + 1) / 2**48


class ShownImages:
    """Keep the most over-confident, the most under-confident and some random images.

    Args:
        size (int): How many of each kind; 0 keeps none.

    Attributes:
        kinds (dict[str, WorstImages]): By reason, see :data:`REASONS`.
    """

    def __init__(self, size: int) -> None:
        self.kinds = {why: WorstImages(size, key) for why, key in REASONS.items()}

    def push(
        self,
        name: str,
        index: int,
        metrics: dict[str, float],
        prob: Tensor | np.ndarray,
        label: Tensor | np.ndarray,
    ) -> None:
        """Offer one image, see :meth:`WorstImages.push`."""
        stem = name.replace('\\', '/').rsplit('/', 1)[-1].rsplit('.', 1)[0]
        # An image without a valid pixel has nothing to show.
        rank = sample_rank(stem) if metrics['oe'] == metrics['oe'] else float('nan')
        for kind in self.kinds.values():
            kind.push(name, index, {**metrics, 'sample': rank}, prob, label)

    def extend(self, items: dict[str, Sequence[dict[str, Any]]]) -> None:
        """Join the items of another process."""
        for why, kind in self.kinds.items():
            kind.extend(items[why])

    def drop_after(self, kept: int) -> None:
        """Forget images whose index is ``kept`` or above."""
        for kind in self.kinds.values():
            kind.drop_after(kept)

    @property
    def items(self) -> dict[str, list[dict[str, Any]]]:
        """By reason, the items of :class:`WorstImages`."""
        return {why: kind.items for why, kind in self.kinds.items()}
