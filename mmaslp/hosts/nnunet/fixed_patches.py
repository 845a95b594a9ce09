"""Validation patches that are the same in every epoch."""

from typing import Any

import numpy as np


class FixedPatches:
    """Repeats the first batches of a loader of nnU-Net, which draws with numpy.

    With new patches in every epoch, the best of many validations is the luckiest draw,
    and levels that guard the masks against it step back without a cause. Each process
    has patches of its own.
    """

    def __init__(self, loader: Any, batches: int, rank: int) -> None:
        self.loader, self.batches, self.rank = loader, batches, rank
        self.drawn = 0

    def set_thread_id(self, thread_id: int) -> None:
        """Be a loader to batchgenerators."""

    def __next__(self) -> dict[str, Any]:
        state = np.random.get_state()
        np.random.seed(self.rank * self.batches + self.drawn % self.batches)
        self.drawn += 1
        try:
            return next(self.loader)
        finally:
            np.random.set_state(state)
