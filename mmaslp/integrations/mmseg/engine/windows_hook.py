"""Measures a network on object-free windows of the validation images."""

from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from torch.nn.functional import binary_cross_entropy

from ....augmentation.windows import SMALLEST
from ....common.arguments import check_number
from ..calibration import windows_of
from ..evaluation.metrics import ScoreReader


@HOOKS.register_module()
class WindowsHook(Hook):
    """Measure object-free windows of the validation images, the same in each epoch.

    It logs, after each validation, ``windows/empty_found``, the share of windows in
    which the network finds something, and ``windows/nll_windows``, their mean negative
    log-likelihood. A metric of MMEngine never sees the network, so this is a hook. It
    costs one more pass over the validation images.

    Args:
        smallest (float): Least side of a window, as a share of the image's, in (0, 1].
            Defaults to 0.25.
        scores (str): See ``ScoreReader``. Defaults to 'auto'.

    Raises:
        ValueError: An argument is out of its range; or a head has more than two
            classes.

    Example:
        >>> custom_hooks = [dict(type='WindowsHook')]
    """

    def __init__(self, smallest: float = SMALLEST, scores: str = 'auto') -> None:
        self.smallest = check_number('smallest', smallest, above=0, at_most=1)
        self._reader = ScoreReader(scores, binary=True)

    def before_val_epoch(self, runner: Any) -> None:
        """Begin with the same windows."""
        self._rng = np.random.default_rng(0)
        # Windows, those whose mask is not empty, pixels, their summed NLL.
        self._sums = torch.zeros(4, dtype=torch.float64)

    def after_val_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Run the network on a window of each image."""
        windows = windows_of(data_batch, self._rng, self.smallest)
        if windows is None:
            return
        for sample in runner.model.val_step(windows):
            prob, _ = self._reader.read(sample.to_dict())
            prob = prob.double().cpu()
            nll = binary_cross_entropy(prob, torch.zeros_like(prob), reduction='sum')
            not_empty = float((prob > 0.5).any())
            self._sums += torch.tensor([1, not_empty, prob.numel(), nll.item()])

    def after_val_epoch(self, runner: Any, metrics: dict | None = None) -> None:
        """Log both metrics of the windows of all processes."""
        all_reduce(self._sums)
        windows, not_empty, pixels, nll = self._sums.tolist()
        if windows:
            hub = runner.message_hub
            hub.update_scalar('val/windows/empty_found', not_empty / windows)
            hub.update_scalar('val/windows/nll_windows', nll / pixels)
