"""What many batches tell: masks of 0 and 255, probabilities in place of logits."""

import math
import warnings

from torch import Tensor

_BOUNDED = 'all logits so far lie in [0, 1], as probabilities: leave the sigmoid out'
REMEDY = (
    'masks of 0 and 255 must become masks of 0 and 1 (mask > 0; in MMSegmentation '
    'LoadBinaryAnnotations)'
)
# Crops without an object are common, so many a batch: 100 of a data set where one in
# ten has an object come without any in 0.003 % of the cases.
MANY = 100


class LabelWatch:
    """Counts the training labels until one holds an object; then ``images`` is None."""

    def __init__(self) -> None:
        self.images: int | None = 0
        self.bounded = 0.0  # images whose logits lie in [0, 1]; inf after another one

    def see_logits(self, logits: Tensor) -> None:
        """Warn, once, of many logits that look like probabilities."""
        if self.bounded < MANY and logits.numel():
            low, high = logits.detach().aminmax()
            self.bounded += len(logits) if 0 <= low < high <= 1 else math.inf
            if MANY <= self.bounded < math.inf:
                warnings.warn(_BOUNDED, stacklevel=3)

    def see(self, num_images: int, has_object: bool, has_ignored: bool) -> None:
        """Take in the labels of a batch."""
        if has_object:
            self.images = None
        elif has_ignored and self.images is not None:
            self.images += num_images
            self.check(MANY)

    def check(self, at_least: int = 1) -> None:
        """Refuse ``at_least`` labels or more without an object."""
        if self.images is not None and self.images >= at_least:
            raise ValueError(
                f'the labels of all {self.images} training images so far hold only 0 '
                f'and ignore_index, never 1: {REMEDY}'
            )
