"""Loss and validation patches of the trainers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...common.arrays import one_logit
from ...levels.bands import BandLevels


@dataclass
class FixedPatches:
    """Repeats the first batches of a loader of nnU-Net, which draws with numpy.

    With new patches in every epoch, the best of many validations is the luckiest draw,
    and levels that guard the masks against it step back without a cause. Each process
    has patches of its own.
    """

    loader: Any
    batches: int
    rank: int
    drawn: int = 0

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


@dataclass(frozen=True)
class Targets:
    """How nnU-Net lays out targets: one label map, or a channel for each region.

    With regions the last channel of a target marks the pixels without a label, if there
    is an ``ignore_label``.
    """

    regions: bool
    ignore_label: int | None = None

    def labelled(self, target: Tensor) -> tuple[Tensor, Tensor | None]:
        """Split a target into labels, 0 where ignored, and where there is a label.

        ``(N, 1, ...)`` labels, or ``(N, C, ...)`` regions and, with an ignore label,
        one channel more; the mask is ``(N, 1, ...)`` bool, or None where all are.
        """
        if self.ignore_label is None:
            return target, None
        if self.regions:
            return target[:, :-1], target[:, -1:] == 0
        mask = target != self.ignore_label
        return torch.where(mask, target, 0), mask

    def binary(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and int16 labels of {0, 1, 255} of every foreground on its own.

        Two logits of a softmax become one, their difference; those of regions stay.
        """
        if not self.regions:
            logits = one_logit(logits).unsqueeze(1)
        labels, mask = self.labelled(target)
        labels = labels.to(torch.int16)  # as it is, so that wrong ones are refused
        if mask is not None:
            labels = labels.masked_fill(~mask, 255)
        return logits, labels


class SelfCalibratingLoss(nn.Module):
    """SC-BCE, and nnU-Net's Dice loss, if given, beside it with the same weight."""

    def __init__(
        self, criterion: nn.Module, targets: Targets, dice: Callable | None = None
    ) -> None:
        super().__init__()
        self.criterion = criterion
        self.targets = targets
        self.dice = dice

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of one scale of the deep supervision."""
        logits, binary_labels = self.targets.binary(output, target)
        loss = self.criterion(logits, binary_labels)
        if self.dice is None:
            return loss
        labels, mask = self.targets.labelled(target)
        return loss + self.dice(output, labels, loss_mask=mask)


class DeepSupervision(nn.Module):
    """The losses of all scales with nnU-Net's weights, of which the last may be 0.

    The finest scale alone is measured by levels by image and band, and a patch has one
    weight at all scales. So the mean error does not depend on how many there are:
    nnU-Net leaves the last one out on one GPU, not on several.
    """

    def __init__(
        self, loss: nn.Module, weights: Sequence[float], levels: BandLevels
    ) -> None:
        super().__init__()
        self.loss = loss
        self.weights = tuple(weights)
        self.levels = levels

    def forward(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Add up the losses; the finest scale comes first."""
        self.levels.start_batch()
        total = self.weights[0] * self.loss(outputs[0], targets[0])
        for weight, output, target in zip(
            self.weights[1:], outputs[1:], targets[1:], strict=True
        ):
            if weight:
                total = total + weight * self.loss(output, target)
        self.levels.end_batch()
        return total
