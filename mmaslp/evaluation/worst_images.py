"""The most over-confident images of an evaluation, in bounded memory."""

import numpy as np


class WorstImages:
    """Keep the images with the largest over-confidence error.

    Args:
        size (int): How many to keep; 0 keeps none.

    Attributes:
        items (list[dict]): Worst first: ``name``, ``index``, ``figures`` (by name),
            ``prob`` (H, W) uint16 in units of 1 / 65535 and ``label`` (H, W) uint8.
    """

    def __init__(self, size):
        self.size = size
        self.items = []

    def push(self, name, index, figures, prob, label):
        """Offer one image.

        Args:
            name (str): Path of the image.
            index (int): Its position in this process.
            figures (dict[str, float]): Its figures; ``oe`` decides.
            prob (Tensor | np.ndarray): (H, W) probabilities.
            label (Tensor | np.ndarray): (H, W) labels.
        """
        oe = figures['oe']
        full = len(self.items) >= self.size
        if (
            not self.size
            or oe != oe
            or (full and oe <= self.items[-1]['figures']['oe'])
        ):
            return
        prob = np.asarray(prob.cpu() if hasattr(prob, 'cpu') else prob)
        label = np.asarray(label.cpu() if hasattr(label, 'cpu') else label)
        self.extend(
            [
                {
                    'name': name,
                    'index': index,
                    'figures': figures,
                    'prob': np.rint(prob * 65535).astype(np.uint16),
                    'label': label.astype(np.uint8),
                }
            ]
        )

    def extend(self, items):
        """Join the items of another list; ties go by name."""
        self.items = sorted(
            [*self.items, *items],
            key=lambda item: (-item['figures']['oe'], item['name']),
        )[: self.size]

    def drop_after(self, kept):
        """Forget images whose index is ``kept`` or above."""
        self.items = [item for item in self.items if item['index'] < kept]
